"""The scheduler on a bus in memory: each run is dispatched once, or ends with a clear problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from services.launcher.ports import free_port
from services.scheduler.abandonment import ALONE_S, WORKER_GONE
from services.scheduler.chains import Archived
from services.scheduler.patience import GIVE_UP_S, TRY_AGAIN_S
from services.scheduler.service import CHECKPOINT_EVERY_S, LOOK_EVERY_S, SEND_AGAIN_S
from shared.archive.envelope import seal_envelope
from shared.archive.keys import fingerprint
from shared.bus import Expect, WrongSequenceError
from shared.bus.base import COMMANDS, DLQ, EVENTS
from shared.bus.deadletters import dead_letter
from shared.bus.memory_stream import Stored
from shared.bus.redelivery import End, Verdict
from shared.keys.worker import open_as_worker
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCorrupted,
    BackupExpired,
    BackupFailed,
    BackupGarbageDeleted,
    BackupMoved,
    DispatchPaused,
    DispatchResumed,
    ExecutionFailed,
    ExecutionRequested,
    RestoreFailed,
    RunCancelRequested,
    RunDispatched,
    ServerTested,
)
from shared.messages.orders import OrderSecrets, RunBackup, RunRestore, ServerSecrets
from shared.messages.orders import TestServer as ServerTest
from shared.stores import Local
from tests.support.waiting import eventually
from tests.unit.scheduler.world import (
    FACTS,
    PASSWORD,
    World,
    attempt,
    complete,
    mark,
    running,
    written,
)

ARCHIVE_KEY = b"canary-archive-key-of-32-bytes.."


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    await made.furnish(tmp_path / "store")
    return made


async def test_a_requested_backup_becomes_one_dispatched_fact_and_one_sealed_order(
    world: World,
) -> None:
    request = await world.request_backup()

    await world.look()

    (dispatched,), (order,) = world.said(RunDispatched), world.orders(RunBackup)
    assert dispatched.id == consequence(request.id, "dispatched")
    assert dispatched.order_id == order.id == consequence(request.id, "order")
    assert (order.backup_id, order.database) == (request.backup_id, "shop")
    assert order.recipients == [
        world.platform.platform_recipient,
        world.platform.recovery_recipient,
    ]
    assert order.checkpoint == "the newest checkpoint"
    assert order.not_after - world.clock.now() == timedelta(hours=24)
    secrets = open_as_worker(order, world.worker_key, OrderSecrets)
    assert secrets.engine["password"] == PASSWORD
    assert secrets.store is not None
    assert secrets.archive_key is None


async def test_nothing_the_scheduler_says_holds_a_secret_in_clear(world: World) -> None:
    await world.request_backup()
    await world.request_test()

    await world.look()

    assert world.orders(RunBackup)
    assert b"canary" not in written(world)


async def test_looking_again_says_nothing_new(world: World) -> None:
    await world.request_backup()
    await world.look()
    before = written(world)

    for _ in range(5):
        world.clock.pass_s(SEND_AGAIN_S)
        await world.look()

    assert written(world) == before


async def test_two_schedulers_that_both_think_they_are_active_dispatch_once(world: World) -> None:
    for _ in range(3):
        await world.request_backup(database=world.database(server_id=world.server_id))
    other = world.another_scheduler()

    await asyncio.gather(world.look(), world.look(other))

    assert len(world.said(RunDispatched)) == len(world.orders(RunBackup)) == 2


async def test_a_successor_sends_the_order_that_its_predecessor_did_not(world: World) -> None:
    request = await world.request_backup()
    fact = RunDispatched(
        id=consequence(request.id, "dispatched"),
        run_id=request.run_id,
        kind="backup",
        run_pool="core",
        order_id=consequence(request.id, "order"),
    )
    await world.bus.append(fact, expect=Expect(0))

    await world.look(world.another_scheduler())

    (order,) = world.orders(RunBackup)
    assert order.id == fact.order_id
    assert world.said(RunDispatched) == [fact]


async def test_a_server_never_gets_more_runs_than_it_allows(world: World) -> None:
    requests = [await world.request_backup() for _ in range(3)]
    await world.look()
    assert [one.backup_id for one in world.orders(RunBackup)] == [
        one.backup_id for one in requests[:2]
    ]

    await complete(world, requests[0].backup_id, requests[0].run_id)
    await world.look()

    assert [one.backup_id for one in world.orders(RunBackup)] == [one.backup_id for one in requests]


async def test_a_queued_run_that_is_cancelled_ends_without_an_order(world: World) -> None:
    request = await world.request_backup()
    await world.say(RunCancelRequested(run_id=request.run_id))

    await world.look()

    (ended,) = world.said(BackupCancelled)
    assert (ended.run_id, ended.attempt, ended.caused_by) == (request.run_id, 0, request.id)
    assert world.orders(RunBackup) == []
    assert await world.state.open_runs() == []


async def test_a_run_that_a_worker_began_meanwhile_is_left_to_the_worker(world: World) -> None:
    request = await world.request_backup()
    await world.look()
    (run,) = await world.state.open_runs()
    await attempt(world, request.backup_id, request.run_id)

    await world.dispatcher.cancel(run)  # as decided before the attempt

    assert world.said(BackupCancelled) == []


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("server", "server.gone"),
        ("store", "store.gone"),
        ("endpoint", "server.unknown_endpoint"),
        ("secret", "secret.unreadable"),
    ],
)
async def test_an_impossible_backup_fails_with_a_clear_problem(
    world: World, what: str, code: str
) -> None:
    values = {"database": world.database(endpoint="gone")} if what == "endpoint" else {}
    request = await world.request_backup(**values)
    if what == "server":
        world.state.servers.clear()
    if what == "store":
        world.state.stores.clear()
    if what == "secret":
        for name in await world.bus.kv("keys").keys("secret-"):
            await world.vault.erase(name)

    await world.look()

    (failed,) = world.said(BackupFailed)
    assert (failed.run_id, failed.attempt) == (request.run_id, 0)
    assert failed.problem.code == code
    assert failed.problem.fix
    assert world.orders(RunBackup) == world.said(RunDispatched) == []


async def test_a_pool_without_a_worker_keeps_its_backups_waiting(world: World) -> None:
    await world.bus.kv("keys").delete("worker.core")
    await world.request_backup()
    for _ in range(3):
        await world.look()
        world.clock.pass_s(GIVE_UP_S)
    assert world.said(RunDispatched) == world.said(BackupFailed) == []

    await world.announce_worker()
    await world.look()

    assert len(world.orders(RunBackup)) == 1


async def test_a_test_that_somebody_waits_for_fails_where_no_worker_comes(world: World) -> None:
    await world.bus.kv("keys").delete("worker.core")
    request = await world.request_test()
    await world.look()
    assert world.said(ServerTested) == []

    world.clock.pass_s(GIVE_UP_S)
    await world.look()

    (tested,) = world.said(ServerTested)
    assert tested.run_id == request.run_id
    assert tested.problem is not None
    assert tested.problem.code == "pool.no_worker"


async def test_a_test_goes_beside_the_limits_with_every_endpoint_sealed(world: World) -> None:
    await world.add_server(world.server_id, run_limit=1)
    for _ in range(2):
        await world.request_backup()
    await world.request_test()

    await world.look()

    (order,) = world.orders(ServerTest)
    assert len(world.orders(RunBackup)) == 1
    assert order.not_after - world.clock.now() == timedelta(seconds=60)
    secrets = open_as_worker(order, world.worker_key, ServerSecrets)
    assert secrets.engines["main"]["password"] == PASSWORD


async def archived(world: World, tmp_path: Path, *, proof: str = "unverified") -> Archived:
    backup_id = uuid4()
    envelope = seal_envelope(
        ARCHIVE_KEY,
        backup_id=str(backup_id),
        attempt="1",
        number=1,
        file_ids={"data.0": "00" * 16},
        recipients=(world.kek.public,),
    ).encode()

    async def content() -> AsyncIterator[bytes]:
        yield envelope

    prefix = f"{backup_id}/1"
    await Local(root=str(tmp_path / "store")).put(f"{prefix}/envelope.1", content())
    world.state.backups[backup_id] = Archived(
        id=backup_id,
        status="completed",
        proof=proof,
        store_id="main",
        prefix=prefix,
        endpoint="main",
        server_id=world.server_id,
        archive=FACTS,
    )
    return world.state.backups[backup_id]


async def test_a_restore_order_holds_the_archive_key_and_what_to_trust(
    world: World, tmp_path: Path
) -> None:
    backup = await archived(world, tmp_path)
    request = await world.request_restore(backup.id)

    await world.look()

    (order,) = world.orders(RunRestore)
    assert (order.restore_id, order.prefix) == (request.restore_id, backup.prefix)
    assert order.manifest_sha256 == FACTS.manifest_sha256
    assert order.trusted == fingerprint(bytes.fromhex(world.platform.audit_public_key))
    assert open_as_worker(order, world.worker_key, OrderSecrets).archive_key == ARCHIVE_KEY
    assert b"canary" not in written(world)


async def test_an_order_tells_which_of_the_archives_are_copies(
    world: World, tmp_path: Path
) -> None:
    full, own = await archived(world, tmp_path), await archived(world, tmp_path)
    gone = {"status": "deleted", "store_id": "gone", "copies": [("main", str(full.prefix))]}
    of_chain = {"chain_id": full.id, "parent_id": full.id}
    replaced = msgspec.structs.replace
    world.state.backups[full.id] = replaced(full, chain_id=full.id, **gone)
    world.state.backups[own.id] = replaced(own, **of_chain)
    asked = [(await world.request_restore(backup.id)).restore_id for backup in (full, own)]

    await world.look()

    ordered = {order.restore_id: order for order in world.orders(RunRestore)}
    of_full, of_own = [ordered[restore_id] for restore_id in asked]
    assert of_full.copy_in == "main"
    assert (of_own.copy_in, [one.copy_in for one in of_own.chain]) == (None, ["main"])


async def test_a_restore_waits_until_an_audit_checkpoint_passed_its_request(
    world: World, tmp_path: Path
) -> None:
    world.state.checkpointed_seq = 0
    await world.request_restore((await archived(world, tmp_path)).id)

    pause_s = await world.look()
    assert (pause_s, world.said(RunDispatched)) == (CHECKPOINT_EVERY_S, [])

    world.state.checkpointed_seq = 1
    assert await world.look() == LOOK_EVERY_S
    assert len(world.orders(RunRestore)) == 1


async def test_a_corrupt_backup_is_not_restored(world: World, tmp_path: Path) -> None:
    await world.request_restore((await archived(world, tmp_path, proof="corrupt")).id)

    await world.look()

    (failed,) = world.said(RestoreFailed)
    assert failed.problem.code == "backup.not_restorable"


async def test_an_archive_whose_key_cannot_be_opened_is_said_to_be_damaged_and_not_restored(
    world: World, tmp_path: Path
) -> None:
    backup = await archived(world, tmp_path)
    mark(tmp_path / "store", "main")
    (tmp_path / "store" / str(backup.prefix) / "envelope.1").unlink()
    await world.request_restore(backup.id)

    await world.look()
    (corrupted,) = world.said(BackupCorrupted)
    world.state.backups[backup.id] = msgspec.structs.replace(backup, proof="corrupt")
    world.clock.pass_s(60)
    await world.look()

    # Any reading by hashes alone misses an envelope, so any may find it there again, too.
    assert (corrupted.backup_id, corrupted.deep) == (backup.id, False)
    assert corrupted.problem.code == "archive.truncated"
    (failed,) = world.said(RestoreFailed)
    assert failed.problem.code == "backup.not_restorable"


async def test_a_store_that_is_not_mounted_holds_no_damaged_archive(
    world: World, tmp_path: Path
) -> None:
    backup = await archived(world, tmp_path)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()  # the empty place of the mount
    await world.request_restore(backup.id)

    await world.look()
    assert world.said(BackupCorrupted) + world.said(RestoreFailed) == []

    (tmp_path / "store").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    world.clock.pass_s(TRY_AGAIN_S)
    await world.look()
    assert len(world.orders(RunRestore)) == 1


@pytest.mark.parametrize("how", ["expired", "moved"])
async def test_what_left_its_store_at_this_moment_is_not_damaged(
    world: World, tmp_path: Path, how: str
) -> None:
    backup = await archived(world, tmp_path)
    mark(tmp_path / "store", "main")
    (tmp_path / "store" / str(backup.prefix) / "envelope.1").unlink()
    if how == "expired":
        await world.say(BackupExpired(backup_id=backup.id, reason="a policy"))
    else:
        await world.say(
            BackupMoved(
                backup_id=backup.id,
                from_store_id="main",
                to_store_id="cold",
                prefix=str(backup.prefix),
                stored_bytes=1,
            )
        )
    await world.request_restore(backup.id)

    await world.look()

    assert world.said(BackupCorrupted) + world.said(RestoreFailed) == []


async def test_a_bug_fails_its_own_run_and_no_other(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = world.state.servers[world.server_id]
    other = uuid4()
    await world.add_server(other)
    world.state.servers[world.server_id] = msgspec.structs.replace(broken, endpoints=None)  # type: ignore[arg-type]  # the bug
    await world.request_backup()
    good = await world.request_backup(database=world.database(other))

    await world.look()

    assert [failed.problem.code for failed in world.said(BackupFailed)] == ["internal"]
    assert [order.backup_id for order in world.orders(RunBackup)] == [good.backup_id]


async def test_a_run_whose_worker_is_gone_ends_failed_and_its_paused_worker_cannot_complete(
    world: World,
) -> None:
    request = await world.request_backup()
    await world.look()
    began = await attempt(world, request.backup_id, request.run_id)
    await world.look()

    world.clock.pass_s(ALONE_S)
    await world.look()

    (failed,) = world.said(BackupFailed)
    assert (failed.problem.code, failed.attempt) == ("run.abandoned", 2)
    assert await world.state.open_runs() == []
    with pytest.raises(WrongSequenceError):
        await complete(world, request.backup_id, request.run_id, began=began)


async def test_a_lost_run_ends_though_the_garbage_of_its_first_attempt_was_deleted(
    world: World,
) -> None:
    request = await world.request_backup()
    await world.look()
    await attempt(world, request.backup_id, request.run_id)
    await world.say(BackupGarbageDeleted(backup_id=request.backup_id, attempt=1, freed_bytes=9))
    (run,) = await world.state.open_runs()

    await world.dispatcher.abandon(run, WORKER_GONE)

    (failed,) = world.said(BackupFailed)
    assert (failed.problem.code, failed.attempt) == ("run.abandoned", 2)


async def test_a_run_whose_worker_holds_its_lease_is_left_alone(world: World) -> None:
    request = await world.request_backup()
    await world.look()
    await attempt(world, request.backup_id, request.run_id)
    await world.bus.kv("leases").create(f"run.core.{request.run_id}", b"executor")

    for _ in range(3):
        await world.look()
        world.clock.pass_s(ALONE_S)

    assert world.said(BackupFailed) == []


async def test_an_attempt_that_begins_while_the_run_is_abandoned_wins(world: World) -> None:
    request = await world.request_backup()
    await world.look()
    (run,) = await world.state.open_runs()
    world.state.meanwhile = partial(attempt, world, request.backup_id, request.run_id)

    await world.dispatcher.abandon(run, WORKER_GONE)

    assert world.said(BackupFailed) == []
    assert [one.attempt for one in world.said(BackupAttempted)] == [1]


async def test_an_order_that_its_pool_gave_up_ends_its_run(world: World) -> None:
    request = await world.request_backup()
    await world.look()
    (delivery,) = world.deliveries(COMMANDS)
    verdict = Verdict(End.DEAD, "order.unreadable", "a cause")
    letter = dead_letter("executor-core-backup", delivery, verdict)
    world.bus.server.stream(DLQ).append(Stored(letter.subject, letter.headers, letter.data))

    async with running(world):
        failed = await eventually(lambda: world.said(BackupFailed))

    assert failed[0].run_id == request.run_id
    assert failed[0].problem.code == "order.unreadable"


async def test_a_request_an_ending_and_a_cancel_wake_the_scheduler(world: World) -> None:
    await world.add_server(world.server_id, run_limit=1)
    async with running(world):
        first = await world.request_backup()
        await eventually(lambda: len(world.orders(RunBackup)) == 1, within=LOOK_EVERY_S - 1)
        second, third = await world.request_backup(), await world.request_backup()
        await complete(world, first.backup_id, first.run_id)
        await eventually(lambda: len(world.orders(RunBackup)) == 2, within=LOOK_EVERY_S - 1)
        await world.say(RunCancelRequested(run_id=third.run_id))
        cancelled = await eventually(lambda: world.said(BackupCancelled), within=LOOK_EVERY_S - 1)

    assert world.orders(RunBackup)[1].backup_id == second.backup_id
    assert cancelled[0].run_id == third.run_id


async def test_a_standby_takes_over_what_the_active_one_left(world: World) -> None:
    other = world.another_scheduler()
    async with running(world):
        await world.request_backup()
        await eventually(lambda: world.orders(RunBackup))
        async with asyncio.TaskGroup() as group:
            standby = group.create_task(other.listen("standby"))
            await asyncio.sleep(0.1)
            holder = await world.bus.kv("leases").get("scheduler")
            assert holder is not None
            assert holder.value == b"active"
            standby.cancel()

    async with running(world, other, "standby"):
        await world.request_backup()
        await eventually(lambda: len(world.orders(RunBackup)) == 2)


async def test_an_idle_scheduler_appends_nothing(world: World) -> None:
    await world.request_backup()
    await world.look()
    (run,) = await world.state.open_runs()
    await complete(world, run.object_id, run.run_id)
    before = len(world.deliveries(EVENTS))

    for _ in range(3):
        world.clock.pass_s(LOOK_EVERY_S)
        assert await world.look() == LOOK_EVERY_S

    assert len(world.deliveries(EVENTS)) == before


async def test_an_order_that_was_lost_is_sent_again(world: World) -> None:
    await world.request_backup()
    await world.look()
    (lost,) = world.orders(RunBackup)
    del world.bus.server.streams[COMMANDS]

    world.clock.pass_s(SEND_AGAIN_S)
    await world.look()

    assert [order.id for order in world.orders(RunBackup)] == [lost.id]


async def test_a_test_that_no_worker_answers_ends_with_a_problem(world: World) -> None:
    request = await world.request_test()
    await world.look()

    world.clock.pass_s(90)
    await world.look()

    (tested,) = world.said(ServerTested)
    assert (tested.run_id, tested.caused_by) == (request.run_id, request.id)
    assert tested.problem is not None
    assert tested.problem.code == "run.never_begun"


async def test_a_backup_that_no_worker_begins_in_a_day_ends_failed(world: World) -> None:
    request = await world.request_backup()
    await world.look()

    world.clock.pass_s(24 * 3600 + 60)
    await world.look()

    (failed,) = world.said(BackupFailed)
    assert (failed.run_id, failed.problem.code) == (request.run_id, "run.never_begun")
    assert await world.state.open_runs() == []


async def test_a_store_that_stays_away_fails_the_restore_in_the_end(
    world: World, tmp_path: Path
) -> None:
    request = await world.request_restore((await archived(world, tmp_path)).id)
    away = {"kind": "s3", "bucket": "backups", "access_key_id": "a", "secret_access_key": "b"}
    main = world.state.stores["main"]
    away["endpoint"] = f"https://127.0.0.1:{free_port()}"
    world.state.stores["main"] = msgspec.structs.replace(main, store=away)
    await world.look()
    assert world.said(RestoreFailed) == world.said(RunDispatched) == []

    world.clock.pass_s(GIVE_UP_S)
    await world.look()

    (failed,) = world.said(RestoreFailed)
    assert (failed.run_id, failed.problem.code) == (request.run_id, "store.unreachable")


async def test_a_command_ends_as_one_that_this_version_cannot_execute(world: World) -> None:
    asked = ExecutionRequested(
        execution_id=uuid4(),
        run_id=uuid4(),
        command_id="c1",
        command_version=1,
        server_id=world.server_id,
        run_pool="core",
    )
    await world.say(asked)

    await world.look()
    await world.look()

    (failed,) = world.said(ExecutionFailed)
    assert failed.execution_id == asked.execution_id
    assert failed.problem.code == "command.not_executable"
    assert world.said(RunDispatched) == []


async def test_while_dispatch_is_paused_runs_wait_and_what_is_under_way_goes_on(
    world: World,
) -> None:
    first = await world.request_backup()
    await world.look()
    await world.say(DispatchPaused(reason="the cellar is rebuilt"))
    second = await world.request_backup()
    await world.request_test()

    await world.look(world.another_scheduler())  # a restart forgets no pause

    assert [one.backup_id for one in world.orders(RunBackup)] == [first.backup_id]
    assert len(world.orders(ServerTest)) == 1
    await complete(world, first.backup_id, first.run_id)
    assert world.said(BackupFailed) == []

    await world.say(DispatchResumed())
    await world.look()

    assert [one.backup_id for one in world.orders(RunBackup)][1:] == [second.backup_id]


async def test_a_waiting_run_is_cancelled_while_dispatch_is_paused(world: World) -> None:
    await world.say(DispatchPaused(reason="the cellar is rebuilt"))
    request = await world.request_backup()
    await world.say(RunCancelRequested(run_id=request.run_id))

    await world.look()

    assert [one.run_id for one in world.said(BackupCancelled)] == [request.run_id]


async def test_as_many_runs_use_a_store_as_it_allows_and_the_others_wait(world: World) -> None:
    await world.add_server(other := uuid4())
    world.state.stores["main"] = msgspec.structs.replace(world.state.stores["main"], run_limit=1)
    first = await world.request_backup()
    second = await world.request_backup(database=world.database(other))

    await world.look()
    assert [one.backup_id for one in world.orders(RunBackup)] == [first.backup_id]
    await complete(world, first.backup_id, first.run_id)
    await world.look()

    assert [one.backup_id for one in world.orders(RunBackup)][1:] == [second.backup_id]
