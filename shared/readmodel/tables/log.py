"""The log itself, its audit tree, and where the auditor stands."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.readmodel.tables.base import metadata, when

event_log = Table(
    "event_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("stored_at", when, nullable=False),
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
    Column("at", when, nullable=False),
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
    Column("at", when, nullable=False),
)
audit_logs = Table(
    "audit_logs",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("time", when, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Index("audit_logs_object", "object", "n"),
    Index("audit_logs_actor", "actor", "n"),
    Index("audit_logs_action", "action", "n"),
    Index("audit_logs_time", "time"),
    # Nearly all went well and most came without a request: what is searched for is the rest.
    Index("audit_logs_trouble", "outcome", "n", postgresql_where=literal_column("outcome <> 'ok'")),
    Index("audit_logs_request", "request_id", postgresql_where=literal_column("request_id <> ''")),
)
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", when, nullable=False),
)
sealed_keys = Table(
    "sealed_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
