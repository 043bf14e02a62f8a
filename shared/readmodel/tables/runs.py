"""Runs, restores and deliveries."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from shared.readmodel.tables.base import metadata, when

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
    Column("test", Boolean, nullable=False, server_default="false"),
    Column("deep", Boolean, nullable=False, server_default="false"),
    Column("raw_bytes", BigInteger),
    Column("tables", JSONB),
    Column("requested_at", when, nullable=False),
    Column("completed_at", when),
    Column("seconds", Float),
    # Of a test: what the restored database was asked, and which schedule wanted the test.
    Column("checks", JSONB),
    Column("schedule_id", Text),
    Column("slot", when),
    Column("version", BigInteger, nullable=False),
)
runs = Table(
    "runs",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    # backup, restore, test, discovery, command
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
    Column("cancel_requested_at", when),
    Column("requested_seq", BigInteger, nullable=False),
    Column("requested_at", when, nullable=False),
    Column("dispatched_at", when),
    Column("started_at", when),
    Column("ended_at", when),
    Column("actor", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("runs_by_status", "status", "requested_seq"),
    Index("runs_by_time", "requested_at", "id"),
)
dispatch = Table(
    "dispatch",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("changed_at", when, nullable=False),
    Column("version", BigInteger, nullable=False),
)
command_executions = Table(
    "command_executions",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("run_id", UUID(as_uuid=True), nullable=False),
    Column("command_id", Text, nullable=False),
    Column("command_version", BigInteger, nullable=False),
    Column("server_id", UUID(as_uuid=True), nullable=False),
    Column("variables", JSONB, nullable=False),
    # requested, failed
    Column("status", Text, nullable=False),
    Column("problem", JSONB),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", when, nullable=False),
    Column("ended_at", when),
    Column("version", BigInteger, nullable=False),
    Index("command_executions_by_command", "command_id", "requested_at"),
)
notifications = Table(
    "notifications",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("fact_id", UUID(as_uuid=True), nullable=False),
    Column("fact_type", Text, nullable=False),
    # requested, sent, failed
    Column("status", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("problem", JSONB),
    Column("at", when, nullable=False),
    Column("version", BigInteger, nullable=False),
    # fact, recovered, digest, test, redelivery
    Column("purpose", Text, nullable=False, server_default="fact"),
    Column("facts", Integer, nullable=False, server_default="1"),
    Column("redelivery_of", UUID(as_uuid=True)),
    Index("notifications_by_time", "at", "id"),
    Index("notifications_by_channel", "channel_id", "at"),
)
