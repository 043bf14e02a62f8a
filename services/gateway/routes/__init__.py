"""The routes of the API: one file per noun; a new noun is a new file and its line here."""

from services.gateway.routes import (
    audit,
    audit_export,
    auth,
    backups,
    channels,
    databases,
    events,
    holds,
    plugins,
    policies,
    reach,
    restores,
    rules,
    runs,
    servers,
    setup,
    stores,
    system,
)

API = [
    *setup.ROUTES,
    *auth.ROUTES,
    *servers.ROUTES,
    *reach.ROUTES,
    *databases.ROUTES,
    *stores.ROUTES,
    *policies.ROUTES,
    *channels.ROUTES,
    *rules.ROUTES,
    *backups.ROUTES,
    *holds.ROUTES,
    *restores.ROUTES,
    *runs.ROUTES,
    *plugins.ROUTES,
    *audit.ROUTES,
    *audit_export.ROUTES,
    *events.ROUTES,
]
OUTSIDE = system.ROUTES
