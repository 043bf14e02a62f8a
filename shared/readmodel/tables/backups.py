"""What is backed up, and its backups."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from shared.readmodel.tables.base import metadata, when

STANDING = ("completed", "expired", "deleting")
"""The statuses of a backup whose objects stand in its store."""
COPIED = ("stored", "expired")
"""The same of an archive, a copy in a further store."""

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
    Column("seen_at", when),
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
    # The full that its chain begins with, and the backup that it builds on.
    Column("chain_id", UUID(as_uuid=True)),
    Column("parent_id", UUID(as_uuid=True)),
    # What of the raw dump no other backup of the chain holds.
    Column("fresh_bytes", BigInteger),
    # Why it became a full, where something else was wanted.
    Column("full_because", Text, nullable=False, server_default=""),
    # Where it was dumped to, once it was moved: that store's policy goes on to apply.
    Column("first_store_id", Text),
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
    Column("requested_at", when, nullable=False),
    Column("started_at", when),
    Column("completed_at", when),
    # Whose state of the database it holds: the archive's own time.
    Column("taken_at", when),
    Column("verified_at", when),
    # The last restore into a throw-away instance that was equal, and how long it took; and what was
    # wrong with the last one, if it was not.
    Column("restore_tested_at", when),
    Column("restore_test_s", Float),
    Column("restore_test_problem", JSONB),
    Column("restore_test_checks", JSONB),
    # When it was last read with its keys and found whole, and how long that took.
    Column("deep_verified_at", when),
    Column("deep_verify_s", Float),
    Column("holds", JSONB, nullable=False, server_default="[]"),
    Column("schedule_id", Text),
    Column("slot", when),
    Column("further_store_ids", JSONB, nullable=False, server_default="[]"),
    Column("delete_requested_at", when),
    # Until then the deletion, or the expiry, can be taken back.
    Column("delete_after", when),
    # Since then objects may be gone.
    Column("deletion_begun_at", when),
    Column("deleted_at", when),
    # Until then the store itself lets nobody delete it.
    Column("locked_until", when),
    # The platform's key that its newest envelope is sealed to; NULL where nobody said.
    Column("key_id", Text),
    # Number and hash of the newest envelope, since it was sealed anew or copied.
    Column("envelope", Integer),
    Column("envelope_sha256", Text),
    # Of an imported backup: the fingerprint of the platform whose worker signed it.
    Column("signed_by", Text),
    Column("version", BigInteger, nullable=False),
    Index("backups_by_time", "requested_at", "id"),
    Index("backups_by_slot", "schedule_id", "slot"),
    Index("backups_by_database", "database_id", "requested_at"),
    Index("backups_by_server", "server_id", "requested_at", "id"),
    Index("backups_by_status", "status", "requested_at", "id"),
    # What objectives and metrics ask for each database: when the last good data was taken.
    Index(
        "backups_good",
        "database_id",
        "taken_at",
        postgresql_where=literal_column("status = 'completed' AND proof <> 'corrupt'"),
    ),
    Index("backups_by_schedule", "schedule_id", "database_id"),
    Index("backups_by_store", "store_id", "completed_at", "id"),
    Index("backups_by_chain", "chain_id"),
    Index("backups_by_parent", "parent_id"),
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
    Column("at", when, nullable=False),
    Column("worker", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    # When storage last made sure that nothing of this attempt is left in the store.
    Column("deleted_at", when),
)
archives = Table(
    "archives",
    metadata,
    # Copies in further stores; the archive in the backup's own store is the backup's row.
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("backup_id", UUID(as_uuid=True), nullable=False),
    Column("store_id", Text, nullable=False),
    # requested, stored, failed, expired, deleted
    Column("status", Text, nullable=False),
    # unverified, verified, corrupt
    Column("proof", Text, nullable=False, server_default="unverified"),
    Column("prefix", Text),
    Column("stored_bytes", BigInteger),
    Column("problem", JSONB),
    Column("requested_at", when, nullable=False),
    Column("stored_at", when),
    Column("verified_at", when),
    Column("locked_until", when),
    Column("key_id", Text),
    # Number and hash of the newest envelope, since it was sealed anew or copied.
    Column("envelope", Integer),
    Column("envelope_sha256", Text),
    # Until then its expiry can be taken back; NULL where nobody may, since it moved, say.
    Column("delete_after", when),
    Column("deletion_begun_at", when),
    Column("deleted_at", when),
    Column("version", BigInteger, nullable=False),
    Index("archives_by_backup", "backup_id"),
    Index("archives_by_store", "store_id", "status"),
    Index("archives_by_age", "store_id", "stored_at", "backup_id"),
)
