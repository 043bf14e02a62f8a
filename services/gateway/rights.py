"""Who may do what: one table of rights, and one of roles."""

from __future__ import annotations

from enum import StrEnum

from shared.messages.values import Grant, Role


class Right(StrEnum):
    """What a route needs. `PUBLIC` needs nobody, `SELF` any account or API key, `PERSON` an account
    that signed in itself."""

    PUBLIC = "public"
    SELF = "self"
    PERSON = "person"
    PLUGINS_READ = "plugins.read"
    SERVERS_READ = "servers.read"
    SERVERS_TEST = "servers.test"
    SERVERS_WRITE = "servers.write"
    GROUPS_READ = "groups.read"
    GROUPS_WRITE = "groups.write"
    STORES_READ = "stores.read"
    STORES_TEST = "stores.test"
    STORES_WRITE = "stores.write"
    STORES_IMPORT = "stores.import"
    DATABASES_READ = "databases.read"
    DATABASES_WRITE = "databases.write"
    POLICIES_READ = "policies.read"
    POLICIES_WRITE = "policies.write"
    SCHEDULES_READ = "schedules.read"
    SCHEDULES_RUN = "schedules.run"
    SCHEDULES_WRITE = "schedules.write"
    BLACKOUTS_READ = "blackouts.read"
    BLACKOUTS_WRITE = "blackouts.write"
    NOTIFICATIONS_READ = "notifications.read"
    NOTIFICATIONS_TEST = "notifications.test"
    NOTIFICATIONS_WRITE = "notifications.write"
    BACKUPS_READ = "backups.read"
    BACKUPS_CREATE = "backups.create"
    BACKUPS_VERIFY = "backups.verify"
    BACKUPS_HOLD = "backups.hold"
    BACKUPS_LEGAL_HOLD = "backups.legal_hold"
    BACKUPS_RESTORE = "backups.restore"
    BACKUPS_DOWNLOAD = "backups.download"
    BACKUPS_DECRYPT = "backups.decrypt"
    BACKUPS_DELETE = "backups.delete"
    RUNS_READ = "runs.read"
    RUNS_CANCEL = "runs.cancel"
    DISPATCH_PAUSE = "dispatch.pause"
    COMMANDS_READ = "commands.read"
    COMMANDS_EXECUTE = "commands.execute"
    COMMANDS_WRITE = "commands.write"
    OBJECTIVES_READ = "objectives.read"
    OBJECTIVES_WRITE = "objectives.write"
    EVENTS_READ = "events.read"
    SEARCH_READ = "search.read"
    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    SESSIONS_READ = "sessions.read"
    SESSIONS_REVOKE = "sessions.revoke"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_REVOKE = "api_keys.revoke"
    KEYS_READ = "keys.read"
    KEYS_EXPORT = "keys.export"
    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"
    SETTINGS_READ = "settings.read"
    SETTINGS_REVERT = "settings.revert"
    SYSTEM_READ = "system.read"
    METRICS_READ = "metrics.read"
    DLQ_READ = "dlq.read"
    DLQ_WRITE = "dlq.write"


VIEWING = frozenset(
    {
        Right.SELF,
        Right.PERSON,
        Right.PLUGINS_READ,
        Right.SERVERS_READ,
        Right.GROUPS_READ,
        Right.STORES_READ,
        Right.DATABASES_READ,
        Right.POLICIES_READ,
        Right.SCHEDULES_READ,
        Right.BLACKOUTS_READ,
        Right.NOTIFICATIONS_READ,
        Right.BACKUPS_READ,
        Right.RUNS_READ,
        Right.COMMANDS_READ,
        Right.OBJECTIVES_READ,
        Right.EVENTS_READ,
        Right.SEARCH_READ,
        Right.SYSTEM_READ,
        Right.METRICS_READ,
    }
)
OPERATING = VIEWING | {
    Right.SERVERS_TEST,
    Right.STORES_TEST,
    Right.DATABASES_WRITE,
    Right.SCHEDULES_RUN,
    Right.SCHEDULES_WRITE,
    Right.NOTIFICATIONS_TEST,
    Right.BACKUPS_CREATE,
    Right.BACKUPS_VERIFY,
    Right.BACKUPS_HOLD,
    Right.BACKUPS_RESTORE,
    Right.BACKUPS_DOWNLOAD,
    Right.RUNS_CANCEL,
    Right.DISPATCH_PAUSE,
    Right.COMMANDS_EXECUTE,
    Right.OBJECTIVES_WRITE,
    Right.KEYS_READ,
    Right.AUDIT_READ,
}
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: VIEWING,
    Role.OPERATOR: OPERATING,
    Role.ADMIN: frozenset(Right) - {Right.PUBLIC},
}

OWN = frozenset({Right.SELF, Right.PERSON})
"""What nobody can be without."""

OF_SERVERS = frozenset(
    right
    for right in Right
    if right.value.split(".")[0]
    in {"servers", "databases", "backups", "runs", "schedules", "objectives"}
) - {Right.OBJECTIVES_WRITE} | {Right.COMMANDS_EXECUTE}
"""Rights about what belongs to a server: a grant gives them within its scope."""

SHARED = frozenset(
    {
        Right.SELF,
        Right.PERSON,
        Right.PLUGINS_READ,
        Right.GROUPS_READ,
        Right.STORES_READ,
        Right.POLICIES_READ,
        Right.BLACKOUTS_READ,
        Right.COMMANDS_READ,
        Right.EVENTS_READ,
        Right.SEARCH_READ,
    }
)
"""Rights about what all scopes share and need to work: a grant of any scope gives them. All other
rights are about the whole installation, and only a grant without a scope gives them."""


def may(role: Role, right: Right) -> bool:
    """Whether `role` has `right` at all."""
    return right is Right.PUBLIC or right in RIGHTS[role]


def gives(grant: Grant, right: Right) -> bool:
    """Whether `grant` has `right` within its scope."""
    return right in OWN or (may(grant.role, right) and right.value not in grant.without)


def reading(right: Right) -> Right:
    """The right to see what `right` is about."""
    noun = right.value.split(".")[0]
    return Right(f"{noun}.read")
