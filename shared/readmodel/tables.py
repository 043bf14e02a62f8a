"""The read model: projections of the log. Only the auditor writes; everybody may read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()
_when = DateTime(timezone=True)


def _setting(name: str, *columns: Column[Any]) -> Table:
    """A table of settings: `version` is the stream sequence of the last message, and the ETag."""
    return Table(
        name,
        metadata,
        Column("id", String(64), primary_key=True),
        *columns,
        Column("version", BigInteger, nullable=False),
        Column("created_at", _when, nullable=False),
        Column("updated_at", _when, nullable=False),
    )


# --- the log itself --------------------------------------------------------------------------
event_log = Table(
    "event_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("stored_at", _when, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("poison", Boolean, nullable=False, default=False),
    Index("event_log_event_id", "event_id"),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    # projection: how far the log is projected; leader: counts the auditors that took over.
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("at", _when, nullable=False),
    # The right edge of the audit tree after `seq` leaves.
    Column("edge", LargeBinary, nullable=False, server_default=""),
)
consumer_floors = Table(
    "consumer_floors",
    metadata,
    Column("name", Text, primary_key=True),
    # As the server describes it; what a repair creates again.
    Column("config", JSONB, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("at", _when, nullable=False),
)
audit_logs = Table(
    "audit_logs",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("time", _when, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Index("audit_logs_object", "object", "n"),
)
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", _when, nullable=False),
)
sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

# --- settings --------------------------------------------------------------------------------
platform = _setting("platform", Column("setting", JSONB, nullable=False))
claims = _setting("claims", Column("noun", Text), Column("holder", Text))
users = _setting(
    "users",
    Column("name", JSONB, nullable=False),
    Column("email", JSONB, nullable=False),
    Column("password_hash", JSONB, nullable=False),
    Column("role", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
)
servers = _setting(
    "servers",
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("runner", JSONB, nullable=False),
    Column("endpoints", JSONB, nullable=False),
    Column("run_limit", Integer, nullable=False),
    Column("health", Text, nullable=False, server_default="unknown"),
    Column("health_problem", JSONB),
    Column("health_at", _when),
)
stores = _setting(
    "stores",
    Column("name", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("quota_bytes", BigInteger),
    Column("store", JSONB, nullable=False),
)
retention_policies = _setting(
    "retention_policies",
    Column("name", Text, nullable=False),
    Column("keep_last", Integer, nullable=False),
)
notification_channels = _setting(
    "notification_channels",
    Column("name", Text, nullable=False),
    Column("channel", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
)
notification_rules = _setting(
    "notification_rules",
    Column("name", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
)

# --- what happened ---------------------------------------------------------------------------
databases = Table(
    "databases",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("server_id", UUID(as_uuid=True), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("policy_id", Text),
    Column("tags", JSONB, nullable=False, server_default="[]"),
    Column("seen_at", _when),
    Column("version", BigInteger, nullable=False),
    Index("databases_server", "server_id"),
)
backups = Table(
    "backups",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("run_id", UUID(as_uuid=True), nullable=False),
    Column("database_id", UUID(as_uuid=True), nullable=False),
    Column("server_id", UUID(as_uuid=True), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("database_name", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("codec", Text, nullable=False),
    # requested, running, completed, failed, cancelled, expired, deleting, deleted
    Column("status", Text, nullable=False),
    # unverified, verified, corrupt
    Column("proof", Text, nullable=False, server_default="unverified"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("prefix", Text),
    Column("raw_bytes", BigInteger),
    Column("stored_bytes", BigInteger),
    Column("problem", JSONB),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("requested_at", _when, nullable=False),
    Column("started_at", _when),
    Column("completed_at", _when),
    Column("verified_at", _when),
    Column("version", BigInteger, nullable=False),
    Index("backups_by_time", "requested_at", "id"),
    Index("backups_by_database", "database_id", "requested_at"),
)
backup_metadata = Table(
    "backup_metadata",
    metadata,
    Column("backup_id", UUID(as_uuid=True), primary_key=True),
    Column("archive", JSONB, nullable=False),
)
backup_attempts = Table(
    "backup_attempts",
    metadata,
    Column("backup_id", UUID(as_uuid=True), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", _when, nullable=False),
    Column("worker", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    # When storage last made sure that nothing of this attempt is left in the store.
    Column("deleted_at", _when),
)
restores = Table(
    "restores",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("run_id", UUID(as_uuid=True), nullable=False),
    Column("backup_id", UUID(as_uuid=True), nullable=False),
    Column("target_server_id", UUID(as_uuid=True), nullable=False),
    Column("target_endpoint", Text, nullable=False),
    Column("target_name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("problem", JSONB),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw_bytes", BigInteger),
    Column("tables", JSONB),
    Column("requested_at", _when, nullable=False),
    Column("completed_at", _when),
    Column("seconds", Float),
    Column("version", BigInteger, nullable=False),
)
runs = Table(
    "runs",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    # backup, restore, test, discovery
    Column("kind", Text, nullable=False),
    Column("object_id", UUID(as_uuid=True), nullable=False),
    Column("server_id", UUID(as_uuid=True), nullable=False),
    Column("pool", Text, nullable=False),
    # requested, dispatched, running, completed, failed, cancelled
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("worker", Text),
    Column("problem", JSONB),
    Column("result", JSONB),
    Column("cancel_requested_at", _when),
    Column("requested_seq", BigInteger, nullable=False),
    Column("requested_at", _when, nullable=False),
    Column("dispatched_at", _when),
    Column("started_at", _when),
    Column("ended_at", _when),
    Column("actor", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("runs_by_status", "status", "requested_seq"),
    Index("runs_by_time", "requested_at", "id"),
)
notifications = Table(
    "notifications",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("fact_id", UUID(as_uuid=True), nullable=False),
    Column("fact_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("problem", JSONB),
    Column("at", _when, nullable=False),
    Column("version", BigInteger, nullable=False),
)
