"""The scheduler with its own permissions on a real server, Postgres and a real auditor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from services.scheduler.abandonment import ALONE_S
from services.scheduler.orders import Orders
from services.scheduler.service import LOOK_EVERY_S, Scheduler
from services.scheduler.state import ReadModelState
from shared.archive.envelope import seal_envelope
from shared.archive.keys import Trust
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.bus.base import COMMANDS
from shared.errors import PlatformError
from shared.keys.worker import open_as_worker
from shared.messages.base import now
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupFailed,
    BackupRequested,
    DispatchPaused,
    DispatchResumed,
    RestoreFailed,
    RestoreRequested,
    RunCancelRequested,
    RunDispatched,
    ServerTestRequested,
)
from shared.messages.orders import OrderSecrets, RunBackup, RunRestore, ServerSecrets
from shared.messages.settings import GroupSetting, ServerSetting, StoreSetting
from shared.stores import Local
from tests.integration.town import PASSWORD, Town, running
from tests.support.waiting import eventually
from tests.unit.scheduler.world import FACTS, ManualClock

ARCHIVE_KEY = b"canary-archive-key-of-32-bytes.."


@asynccontextmanager
async def scheduler(
    town: Town, replica: str = "one", clock: ManualClock | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """A scheduler process: its own connection, its own memory."""
    async with town.nats.bus("scheduler", gate=True) as bus:
        state = ReadModelState(town.model)
        orders = Orders(bus, state, town.vault(bus), (town.kek,))
        more = {"clock": clock} if clock else {}
        service = Scheduler(bus, state, orders, pool_limit=4, **more)
        async with running(service.listen(replica)) as task:
            yield task


async def request_backup(town: Town, name: str = "shop") -> BackupRequested:
    fact = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=msgspec.structs.replace(town.database, name=name),
        store_id="main",
        run_pool="core",
    )
    await town.gateway.append(fact, expect=Expect(0))
    return fact


async def orders(town: Town) -> list[Delivery]:
    """Every order to the pool, as its executors may read them."""
    last_seq = (await town_state(town)).last_seq
    found: list[Delivery] = []
    if last_seq:
        async for delivery in town.executor.follow(
            COMMANDS, after_seq=0, filters=("cmd.*.*.core.>",)
        ):
            found.append(delivery)
            if delivery.seq >= last_seq:
                break
    return found


async def town_state(town: Town):  # type: ignore[no-untyped-def]  # a StreamState
    async with town.nats.bus("bootstrap") as bus:
        return await bus.state(COMMANDS)


async def order_of(town: Town, run_id: UUID) -> RunBackup | RunRestore:
    async def found() -> list[RunBackup | RunRestore]:
        messages = [one.message for one in await orders(town)]
        kinds = RunBackup | RunRestore
        return [one for one in messages if isinstance(one, kinds) and one.run_id == run_id]

    return (await eventually(found, within=15, what="the order"))[0]


async def attempt(bus: Bus, request: BackupRequested, number: int = 1) -> int:
    subject = f"evt.backup.*.core.{request.backup_id}"
    last = (await bus.last_of(subject))[-1].seq
    fact = BackupAttempted(
        backup_id=request.backup_id,
        run_id=request.run_id,
        attempt=number,
        worker="executor",
        store_id="main",
        prefix=f"{request.backup_id}/{number}",
    )
    return (await bus.append(fact, expect=Expect(last, subject))).seq


async def complete(bus: Bus, request: BackupRequested, began: int) -> None:
    fact = BackupCompleted(
        backup_id=request.backup_id,
        run_id=request.run_id,
        attempt=1,
        prefix=f"{request.backup_id}/1",
        started_at=now(),
        seconds=1.0,
        archive=FACTS,
    )
    subject = f"evt.backup.attempted.*.{request.backup_id}"
    await bus.append(fact, expect=Expect(began, subject))


async def test_a_backup_is_dispatched_once_and_its_order_opens_for_the_pool(town: Town) -> None:
    async with scheduler(town):
        request = await request_backup(town)
        order = await order_of(town, request.run_id)
        await town.heard(RunDispatched, request.run_id)

    assert open_as_worker(order, town.worker_key, OrderSecrets).engine["password"] == PASSWORD
    assert len(order.recipients) == 2
    assert len(await orders(town)) == 1


async def test_a_pause_outlives_a_restart_and_nothing_is_lost_in_it(town: Town) -> None:
    async with scheduler(town):
        await town.gateway.append(DispatchPaused(reason="the cellar is rebuilt"))
        request = await request_backup(town)
        await asyncio.sleep(3 * LOOK_EVERY_S)
    async with scheduler(town, "two"):
        await asyncio.sleep(3 * LOOK_EVERY_S)
        assert await orders(town) == []

        await town.gateway.append(DispatchResumed())
        await order_of(town, request.run_id)


async def test_a_store_that_takes_one_run_at_once_lets_the_next_go_when_it_ends(
    town: Town,
) -> None:
    store = (await town.gateway.last_of("cfg.store.main"))[-1].message
    assert isinstance(store, StoreSetting)
    limited = msgspec.structs.replace(store, id=uuid4(), run_limit=1, upload_bytes_s=1 << 20)
    await town.gateway.append(limited)
    async with scheduler(town):
        first, second = [await request_backup(town) for _ in range(2)]
        order = await order_of(town, first.run_id)
        await asyncio.sleep(3 * LOOK_EVERY_S)
        assert await town.said(RunDispatched, second.run_id) == []

        await complete(town.executor, first, await attempt(town.executor, first))
        await order_of(town, second.run_id)

    pace = open_as_worker(order, town.worker_key, OrderSecrets).pace
    assert pace is not None
    assert (pace.store_id, pace.upload_bytes_s, pace.download_bytes_s) == ("main", 1 << 20, None)


async def test_a_full_server_lets_the_next_backup_go_when_one_ends(town: Town) -> None:
    async with scheduler(town):
        first, second, third = [await request_backup(town) for _ in range(3)]
        await order_of(town, second.run_id)
        assert await town.said(RunDispatched, third.run_id) == []

        await complete(town.executor, first, await attempt(town.executor, first))
        await order_of(town, third.run_id)

    assert len(await orders(town)) == 3


async def archived(town: Town, request: BackupRequested, store_root: Path) -> None:
    """A completed backup whose envelope lies in the store."""
    envelope = seal_envelope(
        ARCHIVE_KEY,
        backup_id=str(request.backup_id),
        attempt="1",
        number=1,
        file_ids={"data.0": "00" * 16},
        recipients=(town.kek.public,),
    ).encode()

    async def content() -> AsyncIterator[bytes]:
        yield envelope

    await Local(root=str(store_root)).put(f"{request.backup_id}/1/envelope.1", content())
    await complete(town.executor, request, await attempt(town.executor, request))


async def request_restore(
    town: Town, backup_id: UUID, name: str = "copy"
) -> tuple[RestoreRequested, int]:
    fact = RestoreRequested(
        restore_id=uuid4(),
        run_id=uuid4(),
        backup_id=backup_id,
        target=msgspec.structs.replace(town.database, name=name),
        run_pool="core",
    )
    return fact, (await town.gateway.append(fact, expect=Expect(0))).seq


async def test_a_restore_goes_after_an_audit_checkpoint_with_the_archive_key_and_the_trust(
    town: Town, tmp_path: Path
) -> None:
    async with scheduler(town):
        request = await request_backup(town)
        await order_of(town, request.run_id)
        await archived(town, request, tmp_path / "store")
        restore, seq = await request_restore(town, request.backup_id)
        order = await order_of(town, restore.run_id)

    assert isinstance(order, RunRestore)
    assert await ReadModelState(town.model).is_checkpointed(seq)
    secrets = open_as_worker(order, town.worker_key, OrderSecrets)
    assert secrets.archive_key == ARCHIVE_KEY
    Trust.of(order.trusted).check(msgspec.json.decode(town.keys.certificate.read_bytes()))


async def test_a_restore_of_nothing_fails_with_a_clear_problem(town: Town) -> None:
    async with scheduler(town):
        restore, _ = await request_restore(town, uuid4())
        failed = await town.heard(RestoreFailed, restore.restore_id)

    assert failed.problem.code == "backup.not_restorable"


async def test_a_test_reaches_the_pool_at_once(town: Town) -> None:
    fact = ServerTestRequested(server_id=town.server_id, run_id=uuid4(), run_pool="core")
    async with scheduler(town):
        await town.gateway.append(fact)

        async def there() -> list[Delivery]:
            return await orders(town)

        (delivery,) = await eventually(there, within=3 * LOOK_EVERY_S)

    opened = open_as_worker(delivery.message, town.worker_key, ServerSecrets)  # type: ignore[arg-type]  # an order
    assert opened.engines["main"]["password"] == PASSWORD


async def test_a_queued_backup_is_cancelled_by_the_scheduler(town: Town) -> None:
    request = await request_backup(town)
    wish = await town.gateway.append(RunCancelRequested(run_id=request.run_id))
    await town.model.at_least(wish.seq)
    async with scheduler(town):
        await town.heard(BackupCancelled, request.backup_id)

    assert await orders(town) == []


async def test_a_standby_takes_over_within_seconds_and_the_other_stands_by_again(
    town: Town,
) -> None:
    async with scheduler(town, "two") as second:
        await eventually(lambda: leader(town, "two"))
        async with town.nats.bus("bootstrap") as bus, scheduler(town, "one"):
            await bus.kv("leases").delete("scheduler")  # as if `two` had been stopped for long
            await eventually(lambda: leader(town, "one"), within=5.0)
            request = await request_backup(town)
            await order_of(town, request.run_id)
        await eventually(lambda: leader(town, "two"), within=5.0)
        again = await request_backup(town)
        await order_of(town, again.run_id)
        assert not second.done()

    assert len(await orders(town)) == 2


async def leader(town: Town, replica: str) -> bool:
    entry = await town.gateway.kv("leases").get("scheduler")
    return entry is not None and entry.value == replica.encode()


async def test_a_run_whose_workers_are_dead_ends_failed_and_the_paused_one_cannot_complete(
    town: Town,
) -> None:
    clock = ManualClock()
    async with scheduler(town, clock=clock):
        request = await request_backup(town)
        await order_of(town, request.run_id)
        began = await attempt(town.executor, request)

        async def failed() -> list[BackupFailed]:
            clock.pass_s(ALONE_S)  # until it has looked twice
            return await town.said(BackupFailed, request.backup_id)

        (fact,) = await eventually(failed, within=10 * LOOK_EVERY_S)

    assert (fact.problem.code, fact.attempt) == ("run.abandoned", 2)
    with pytest.raises(WrongSequenceError):
        await complete(town.executor, request, began)


async def test_an_order_that_its_workers_gave_up_ends_its_run(town: Town) -> None:
    async def refuse(_: Delivery) -> None:
        raise RefusedError("a cause")

    async with scheduler(town):
        request = await request_backup(town)
        working = town.executor.work(
            "executor-core-backup", COMMANDS, ["cmd.backup.*.core.>"], refuse
        )
        async with running(working):
            failed = await town.heard(BackupFailed, request.backup_id)

    assert failed.problem.code == "order.refused"


class RefusedError(PlatformError):
    """What a worker says of an order that it can never do."""

    code = "order.refused"


async def test_a_backup_without_room_in_a_store_or_a_group_is_refused_before_it_is_dumped(
    town: Town,
) -> None:
    async with scheduler(town):
        first = await request_backup(town)
        await complete(town.executor, first, await attempt(town.executor, first))
        stored = FACTS.stored_bytes
        await change_store(town, quota_bytes=2 * stored - 1)
        full = await request_backup(town)
        in_store = await town.heard(BackupFailed, full.backup_id)
        await change_store(town, quota_bytes=None)
        await put_into_group(town, quota_bytes=2 * stored - 1)
        beside = await request_backup(town)
        in_group = await town.heard(BackupFailed, beside.backup_id)

    assert in_store.problem.code == in_group.problem.code == "quota.exceeded"
    assert in_store.problem.cause.startswith("the store main holds")
    assert in_group.problem.cause.startswith("the group web holds")
    assert {one.message.run_id for one in await orders(town)} <= {first.run_id}  # type: ignore[union-attr]


async def change_store(town: Town, *, quota_bytes: int | None) -> None:
    [last] = await town.gateway.last_of("cfg.store.main")
    assert isinstance(last.message, StoreSetting)
    changed = msgspec.structs.replace(last.message, id=uuid4(), quota_bytes=quota_bytes)
    await town.gateway.append(changed)


async def put_into_group(town: Town, *, quota_bytes: int) -> None:
    """The group `web` of the server, with a quota."""
    await town.gateway.append(GroupSetting(key="g1", name="web", quota_bytes=quota_bytes))
    [last] = await town.gateway.last_of(f"cfg.server.{town.server_id}")
    assert isinstance(last.message, ServerSetting)
    await town.gateway.append(msgspec.structs.replace(last.message, id=uuid4(), group_ids=["g1"]))
