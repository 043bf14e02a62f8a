"""The read model: projections of the log. Only the auditor writes; everybody may read."""

from __future__ import annotations

from shared.readmodel.tables.backups import (
    COPIED,
    STANDING,
    archives,
    backup_attempts,
    backup_metadata,
    backups,
    databases,
)
from shared.readmodel.tables.base import metadata
from shared.readmodel.tables.log import (
    audit_checkpoints,
    audit_logs,
    checkpoints,
    consumer_floors,
    event_log,
    sealed_keys,
)
from shared.readmodel.tables.runs import (
    command_executions,
    dispatch,
    notifications,
    restores,
    runs,
)
from shared.readmodel.tables.settings import (
    api_keys,
    blackouts,
    claims,
    commands,
    notification_channels,
    notification_rules,
    notification_templates,
    objectives,
    platform,
    retention_policies,
    schedules,
    server_groups,
    servers,
    stores,
    users,
)

__all__ = [
    "COPIED",
    "STANDING",
    "api_keys",
    "archives",
    "audit_checkpoints",
    "audit_logs",
    "backup_attempts",
    "backup_metadata",
    "backups",
    "blackouts",
    "checkpoints",
    "claims",
    "command_executions",
    "commands",
    "consumer_floors",
    "databases",
    "dispatch",
    "event_log",
    "metadata",
    "notification_channels",
    "notification_rules",
    "notification_templates",
    "notifications",
    "objectives",
    "platform",
    "restores",
    "retention_policies",
    "runs",
    "schedules",
    "sealed_keys",
    "server_groups",
    "servers",
    "stores",
    "users",
]
