"""Sample data: a made-up fleet, and how each of its databases does."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.messages.values import DatabaseRef, Problem

DAYS = 90
MB = 1_000_000


class Kept(msgspec.Struct, frozen=True):
    """A database of the fleet: its size, and how it does."""

    server: str
    name: str
    raw_mb: int
    fails: float = 0.02
    tags: tuple[str, ...] = ()
    last_good_days_ago: int = 0
    ends_badly: bool = False
    never: bool = False
    increments: bool = False


FLEET = (
    Kept("pg-prod-1", "orders", 48_200, tags=("critical",)),
    Kept("pg-prod-1", "customers", 12_900, tags=("critical", "personal"), increments=True),
    Kept("pg-prod-1", "billing", 9_400, tags=("critical",), fails=0.0),
    Kept("pg-prod-1", "catalog", 3_100, increments=True),
    Kept("pg-prod-2", "inventory", 7_800, fails=0.05),
    Kept("pg-prod-2", "shipping", 2_600),
    Kept("pg-prod-2", "identity", 1_450, tags=("critical", "personal"), fails=0.0),
    Kept("pg-analytics", "events", 184_000, fails=0.09, ends_badly=True),
    Kept("pg-analytics", "reports", 22_300, fails=0.04),
    Kept("pg-legacy", "crm", 5_700, fails=0.12, last_good_days_ago=3, tags=("personal",)),
    Kept("pg-staging", "orders", 1_900, fails=0.06),
    Kept("pg-staging", "playground", 240, never=True),
)
TABLES = ("accounts", "addresses", "audit", "invoices", "items", "orders", "payments", "sessions")
CAUSES = (
    Problem(
        code="source.unreachable",
        cause="the database server refused the connection",
        fix="check that it runs and that its firewall lets the executor in",
    ),
    Problem(
        code="source.lock_timeout",
        cause="a table was locked for longer than ten minutes",
        fix="run the backup at another time, or end what holds the lock",
    ),
    Problem(
        code="store.unavailable",
        cause="the store did not answer for a minute",
        fix="test the store, then run the backup again",
    ),
)


class Fleet(msgspec.Struct, kw_only=True):
    """What was made of it, by name."""

    servers: dict[str, str]
    stores: dict[str, str]
    channels: dict[str, str]
    recipients: list[str] = []
    running: list[UUID] = []
    restore_run: UUID | None = None

    def reference(self, one: Kept) -> DatabaseRef:
        """What facts call a database of the fleet."""
        return DatabaseRef(server_id=UUID(self.servers[one.server]), endpoint="main", name=one.name)
