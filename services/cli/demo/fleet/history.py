"""Sample data: ninety days of facts, as the services would have said them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from services.cli.demo.fleet.databases import CAUSES, DAYS, FLEET, MB, TABLES, Fleet, Kept
from shared.messages.base import Fact
from shared.messages.facts import (
    BackupAttempted,
    BackupCompleted,
    BackupFailed,
    BackupRequested,
    BackupVerified,
    NotificationFailed,
    NotificationSent,
    RestoreAttempted,
    RestoreCompleted,
    RestoreRequested,
    RunDispatched,
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerHealthChanged,
    StoreTested,
    StoreTestRequested,
)
from shared.messages.values import (
    ArchiveFacts,
    BackupType,
    DatabaseRef,
    FoundDatabase,
    Health,
    Problem,
    TableContent,
)

SUNDAY = 6
RUNNERS_HOST = "executor-1"
NAMESPACE = UUID("5f0c4c0a-8e0e-4f3a-9a53-0d4a1a7a1d11")


class Chain(msgspec.Struct):
    """What the backups of one database so far make possible: the ids of a full, and of the last."""

    full: UUID | None = None
    last: UUID | None = None

    def grow(self, backup_id: UUID, *, full: bool) -> dict[str, Any]:
        """Add a backup; what its completion says of it."""
        if full or self.full is None:
            self.full = self.last = backup_id
            return {"chain_id": backup_id}
        parent, self.last = self.last, backup_id
        made = {"type_made": BackupType.INCREMENTAL, "chain_id": self.full, "parent_id": parent}
        return {**made}


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """The backup of one database in one night."""

    backup_id: UUID
    at: datetime
    days_ago: int
    failed: bool


def history(fleet: Fleet, now: datetime) -> Iterator[Fact]:
    dice = random.Random(7)  # noqa: S311 - the same fleet each time
    for name, server_id in fleet.servers.items():
        yield from _discovery(name, UUID(server_id), now)
        if name != "pg-legacy":
            at = now - timedelta(days=DAYS - 1)
            health: dict[str, Any] = {"health": Health.HEALTHY, "was": Health.UNKNOWN}
            yield ServerHealthChanged(server_id=UUID(server_id), at=at, **health)
    problem = CAUSES[0]
    yield ServerHealthChanged(
        server_id=UUID(fleet.servers["pg-legacy"]),
        health=Health.UNREACHABLE,
        was=Health.HEALTHY,
        problem=problem,
        at=now - timedelta(days=2, hours=22),
    )
    for name, store_id in fleet.stores.items():
        run_id = uuid5(NAMESPACE, f"test {name}")
        yield StoreTestRequested(store_id=store_id, run_id=run_id, at=now - timedelta(hours=2))
        told: dict[str, Any] = {"run_id": run_id, "seconds": 0.21, "free_bytes": 2_410_000 * MB}
        yield StoreTested(store_id=store_id, at=now - timedelta(hours=2), **told)
    good: UUID | None = None
    for one in FLEET:
        chain = Chain()
        for days_ago in range(DAYS - 1, -1, -1):
            if one.never:
                continue
            at = now.replace(hour=2, minute=dice.randrange(55), second=7) - timedelta(days=days_ago)
            if at > now:
                at -= timedelta(days=1)
            failed = (
                days_ago < one.last_good_days_ago
                or (one.ends_badly and days_ago == 0)
                or (days_ago > 0 and dice.random() < one.fails)
            )
            backup_id = uuid5(NAMESPACE, f"{one.server} {one.name} {days_ago}")
            night = Night(backup_id=backup_id, at=at, days_ago=days_ago, failed=failed)
            yield from _backup(fleet, one, night, chain, dice)
            if one.name == "billing" and days_ago == 0:
                good = backup_id
    assert good is not None
    yield from _restore(fleet, good, now - timedelta(hours=1))
    yield from _running(fleet, now)
    yield from _deliveries(fleet, now, dice)


def _discovery(name: str, server_id: UUID, now: datetime) -> Iterator[Fact]:
    at, run_id = now - timedelta(days=DAYS), uuid5(NAMESPACE, f"discovery {name}")
    found = [
        FoundDatabase(endpoint="main", name=one.name, size_bytes=one.raw_mb * MB)
        for one in FLEET
        if one.server == name
    ]
    yield ServerDiscoveryRequested(server_id=server_id, run_id=run_id, run_pool="core", at=at)
    at += timedelta(seconds=2)
    yield ServerDiscovered(server_id=server_id, run_id=run_id, databases=found, at=at)


def _backup(
    fleet: Fleet, one: Kept, night: Night, chain: Chain, dice: random.Random
) -> Iterator[Fact]:
    backup_id, at = night.backup_id, night.at
    run_id = uuid5(backup_id, "run")
    store_id = fleet.stores["vault-eu" if "critical" in one.tags else "cellar"]
    database = fleet.reference(one)
    about: dict[str, Any] = {"backup_id": backup_id, "run_id": run_id}
    actor: dict[str, Any] = {"actor": "service:scheduler"}
    asked: dict[str, Any] = {"database": database, "store_id": store_id, "run_pool": "core"}
    yield BackupRequested(**about, **asked, **actor, at=at)
    dispatched: dict[str, Any] = {
        "kind": "backup",
        "run_pool": "core",
        "order_id": uuid5(run_id, "order"),
    }
    yield RunDispatched(run_id=run_id, **dispatched, **actor, at=at + timedelta(seconds=1))
    began = at + timedelta(seconds=2)
    actor = {"actor": "service:executor"}
    prefix = f"{backup_id}/1"
    where: dict[str, Any] = {"worker": RUNNERS_HOST, "store_id": store_id, "prefix": prefix}
    yield BackupAttempted(**about, attempt=1, **where, **actor, at=began)
    raw = int(one.raw_mb * MB * (1 - 0.0022 * night.days_ago) * dice.uniform(0.985, 1.015))
    seconds = round(raw / (dice.uniform(160, 240) * MB), 1)
    ended = began + timedelta(seconds=seconds)
    if night.failed:
        problem = dice.choice(CAUSES[1:]) if one.server != "pg-legacy" else CAUSES[0]
        yield BackupFailed(
            **about, attempt=1, problem=problem, **actor, at=began + timedelta(seconds=40)
        )
        return
    full = not one.increments or night.at.weekday() == SUNDAY
    grown = chain.grow(backup_id, full=full)
    fresh = int(raw * dice.uniform(0.02, 0.06)) if "parent_id" in grown else raw
    archive = ArchiveFacts(
        raw_bytes=raw,
        stored_bytes=int(fresh / dice.uniform(3.2, 3.6)),
        manifest_sha256="0" * 64,
        codec="zstd",
        tool="pg_dump",
        tool_version="18.1",
        server_version="17.6",
        taken_at=began,
        tables=[*_tables(raw)],
        recipients=fleet.recipients,
    )
    told: dict[str, Any] = {
        "prefix": prefix,
        "started_at": began,
        "seconds": seconds,
        "archive": archive,
    }
    yield BackupCompleted(**about, attempt=1, **told, **grown, fresh_bytes=fresh, **actor, at=ended)
    read: dict[str, Any] = {
        "bytes_read": archive.stored_bytes,
        "seconds": 4.2,
        "actor": "service:storage",
    }
    yield BackupVerified(backup_id=backup_id, **read, at=ended + timedelta(minutes=3))


def _tables(raw: int) -> Sequence[TableContent]:
    return [
        TableContent(name=f"public.{name}", rows=raw // (9_000 * (at + 2)))
        for at, name in enumerate(TABLES)
    ]


def _restore(fleet: Fleet, backup_id: UUID, at: datetime) -> Iterator[Fact]:
    restore_id, run_id = uuid5(backup_id, "restore"), uuid5(backup_id, "restore run")
    fleet.restore_run = run_id
    target = DatabaseRef(
        server_id=UUID(fleet.servers["pg-staging"]), endpoint="main", name="billing_drill"
    )
    about: dict[str, Any] = {"restore_id": restore_id, "run_id": run_id}
    wish: dict[str, Any] = {"target": target, "run_pool": "core", "reason": "monthly drill"}
    yield RestoreRequested(**about, backup_id=backup_id, **wish, at=at)
    dispatched: dict[str, Any] = {
        "kind": "restore",
        "run_pool": "core",
        "order_id": uuid5(run_id, "order"),
    }
    yield RunDispatched(run_id=run_id, **dispatched, at=at + timedelta(seconds=1))
    yield RestoreAttempted(**about, attempt=1, worker=RUNNERS_HOST, at=at + timedelta(seconds=2))
    raw = 9_400 * MB
    told: dict[str, Any] = {"seconds": 61.4, "raw_bytes": raw, "tables": [*_tables(raw)]}
    yield RestoreCompleted(**about, attempt=1, **told, at=at + timedelta(seconds=64))


def _running(fleet: Fleet, now: datetime) -> Iterator[Fact]:
    one = next(it for it in FLEET if it.name == "events")
    backup_id = uuid5(NAMESPACE, "running")
    run_id = uuid5(backup_id, "run")
    fleet.running.append(run_id)
    database = fleet.reference(one)
    store_id = fleet.stores["cellar"]
    at = now - timedelta(minutes=5)
    about: dict[str, Any] = {"backup_id": backup_id, "run_id": run_id}
    asked: dict[str, Any] = {"database": database, "store_id": store_id, "run_pool": "core"}
    yield BackupRequested(**about, **asked, note="again, by hand", at=at)
    dispatched: dict[str, Any] = {
        "kind": "backup",
        "run_pool": "core",
        "order_id": uuid5(run_id, "order"),
    }
    yield RunDispatched(run_id=run_id, **dispatched, at=at + timedelta(seconds=1))
    where: dict[str, Any] = {
        "worker": RUNNERS_HOST,
        "store_id": store_id,
        "prefix": f"{backup_id}/1",
    }
    yield BackupAttempted(**about, attempt=1, **where, at=at + timedelta(seconds=2))


def _deliveries(fleet: Fleet, now: datetime, dice: random.Random) -> Iterator[Fact]:
    for at in range(12):
        name = dice.choice([*fleet.channels])
        said: dict[str, Any] = {
            "notification_id": uuid5(NAMESPACE, f"delivery {at}"),
            "channel_id": fleet.channels[name],
            "fact_id": uuid5(NAMESPACE, f"told {at}"),
            "fact_type": dice.choice(["backup.failed", "backup.failed", "store.filling"]),
            "at": now - timedelta(hours=7 * at + 1),
            "actor": "service:notifier",
        }
        if at == 4:
            problem = Problem(code="channel.refused", cause="the receiver answered 410 Gone")
            yield NotificationFailed(**said, tries=6, problem=problem)
        else:
            yield NotificationSent(**said, tries=1)
