"""Settings: one row is the current state of one configured thing."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.readmodel.tables.base import settings_table, when

platform = settings_table("platform", Column("setting", JSONB, nullable=False))
claims = settings_table("claims", Column("noun", Text), Column("holder", Text))
users = settings_table(
    "users",
    Column("name", JSONB, nullable=False),
    Column("email", JSONB, nullable=False),
    Column("password_hash", JSONB, nullable=False),
    Column("role", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("grants", JSONB, nullable=False, server_default="[]"),
    # What the account held before its role or grants last changed, and the sequence of that.
    Column("rights_before", JSONB),
    Column("rights_seq", BigInteger, nullable=False, server_default="0"),
)
api_keys = settings_table(
    "api_keys",
    Column("name", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("rights", JSONB, nullable=False),
    Column("grants", JSONB, nullable=False),
    Column("addresses", JSONB, nullable=False),
    Column("expires_at", when),
    Index("api_keys_by_user", "user_id", "name"),
)
servers = settings_table(
    "servers",
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("runner", JSONB, nullable=False),
    Column("endpoints", JSONB, nullable=False),
    Column("run_limit", Integer, nullable=False),
    Column("group_ids", JSONB, nullable=False, server_default="[]"),
    Column("health", Text, nullable=False, server_default="unknown"),
    Column("health_problem", JSONB),
    Column("health_at", when),
)
server_groups = settings_table(
    "server_groups",
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("quota_bytes", BigInteger),
)
stores = settings_table(
    "stores",
    Column("name", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("quota_bytes", BigInteger),
    Column("move_after_days", Integer),
    Column("move_to_store_id", Text),
    # Sealed: new archives can be opened with it, too.
    Column("passphrase", JSONB),
    Column("run_limit", Integer),
    Column("upload_bytes_s", BigInteger),
    Column("download_bytes_s", BigInteger),
    Column("store", JSONB, nullable=False),
    # What the last test said; without a problem it was good.
    Column("tested_at", when),
    Column("test_problem", JSONB),
    Column("free_bytes", BigInteger),
)
retention_policies = settings_table(
    "retention_policies",
    Column("name", Text, nullable=False),
    Column("keep_last", Integer, nullable=False),
    Column("keep_days", Integer, nullable=False, server_default="0"),
    Column("keep_daily", Integer, nullable=False, server_default="0"),
    Column("keep_weekly", Integer, nullable=False, server_default="0"),
    Column("keep_monthly", Integer, nullable=False, server_default="0"),
    Column("keep_yearly", Integer, nullable=False, server_default="0"),
    Column("min_age_s", BigInteger, nullable=False, server_default="0"),
)
schedules = settings_table(
    "schedules",
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("database_ids", JSONB, nullable=False),
    Column("group_ids", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("targets", JSONB, nullable=False),
    Column("type_wanted", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("codec", Text, nullable=False),
    Column("chain_limit", Integer, nullable=False, server_default="30"),
    Column("jitter_s", Integer, nullable=False),
    Column("blackout_ids", JSONB, nullable=False),
    Column("missed", Text, nullable=False),
    Column("missed_within_s", Integer, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("test_restore", Text, nullable=False, server_default=""),
    Column("checks", JSONB, nullable=False, server_default="[]"),
    # What the scheduler said last of it; null while all is well.
    Column("problem", JSONB),
)
blackouts = settings_table(
    "blackouts",
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
)
objectives = settings_table(
    "objectives",
    Column("name", Text, nullable=False),
    Column("rpo_s", BigInteger, nullable=False),
    Column("rto_s", BigInteger),
    Column("database_ids", JSONB, nullable=False),
    Column("group_ids", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
)
commands = settings_table(
    "commands",
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("variables", JSONB, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("roles", JSONB, nullable=False),
)
notification_channels = settings_table(
    "notification_channels",
    Column("name", Text, nullable=False),
    Column("channel", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
    # When its receiver said that it wants no more, and why we think so.
    Column("disabled_at", when),
    Column("disabled_problem", JSONB),
)
notification_rules = settings_table(
    "notification_rules",
    Column("name", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("min_severity", Text, nullable=False, server_default="info"),
    Column("environments", JSONB, nullable=False, server_default="[]"),
    Column("group_ids", JSONB, nullable=False, server_default="[]"),
    Column("tags", JSONB, nullable=False, server_default="[]"),
    Column("template_id", Text),
    Column("repeat_after_s", BigInteger),
    Column("tell_recovery", Boolean),
    Column("quiet", JSONB),
    Column("digest", JSONB),
)
notification_templates = settings_table(
    "notification_templates",
    Column("name", Text, nullable=False),
    Column("channel_kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
)
