"""Who may do what: one table."""

from __future__ import annotations

from enum import StrEnum

from shared.messages.values import Role


class Right(StrEnum):
    """What a route needs. `PUBLIC` needs nobody, `SELF` any account."""

    PUBLIC = "public"
    SELF = "self"
    PLUGINS_READ = "plugins.read"
    SERVERS_READ = "servers.read"
    SERVERS_TEST = "servers.test"
    SERVERS_WRITE = "servers.write"
    STORES_READ = "stores.read"
    STORES_WRITE = "stores.write"
    DATABASES_READ = "databases.read"
    DATABASES_WRITE = "databases.write"
    POLICIES_READ = "policies.read"
    POLICIES_WRITE = "policies.write"
    NOTIFICATIONS_READ = "notifications.read"
    NOTIFICATIONS_WRITE = "notifications.write"
    BACKUPS_READ = "backups.read"
    BACKUPS_CREATE = "backups.create"
    BACKUPS_DELETE = "backups.delete"
    BACKUPS_RESTORE = "backups.restore"
    RUNS_READ = "runs.read"
    RUNS_CANCEL = "runs.cancel"
    EVENTS_READ = "events.read"
    USERS_READ = "users.read"
    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"


VIEWING = frozenset(
    {
        Right.SELF,
        Right.PLUGINS_READ,
        Right.SERVERS_READ,
        Right.STORES_READ,
        Right.DATABASES_READ,
        Right.POLICIES_READ,
        Right.NOTIFICATIONS_READ,
        Right.BACKUPS_READ,
        Right.RUNS_READ,
        Right.EVENTS_READ,
    }
)
OPERATING = VIEWING | {
    Right.SERVERS_TEST,
    Right.DATABASES_WRITE,
    Right.BACKUPS_CREATE,
    Right.BACKUPS_RESTORE,
    Right.RUNS_CANCEL,
    Right.AUDIT_READ,
}
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: VIEWING,
    Role.OPERATOR: OPERATING,
    Role.ADMIN: frozenset(Right) - {Right.PUBLIC},
}


def may(role: Role, right: Right) -> bool:
    """Whether an account of `role` has `right`."""
    return right is Right.PUBLIC or right in RIGHTS[role]
