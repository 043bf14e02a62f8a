"""The auditor at work on a real nats-server and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from shared.archive.keys import SigningKey
from shared.audit.note import open_note, origin_of
from shared.bus import Expect
from shared.bus.base import AUDIT_CKPT
from shared.bus.jetstream import connect
from shared.errors import PlatformError, UnavailableError
from shared.messages.facts import KeyErased, RestoreRequested
from shared.readmodel.migrations import migrate
from tests.integration.auditor.house import KEY, House, a_house
from tests.support.nats import Nats
from tests.support.postgres import postgres_server
from tests.support.waiting import eventually
from tests.unit.auditor.events import backup_requested, backup_story, server, shop


async def test_what_is_appended_is_soon_projected(house: House) -> None:
    async with house.auditor():
        await house.trusted()
        for message in [server(), *backup_story()]:
            last = await house.bus.append(message)

        await house.projected(last.seq, within=5)

        assert await house.ask_postgres("SELECT status FROM backups") == "completed"


async def test_writes_are_held_until_an_auditor_vouches_for_the_log(house: House) -> None:
    """Abuse case 39: who switches the audit off gets nothing done unseen."""
    async with connect(house.bus_settings, source="gateway") as gated:
        with pytest.raises(UnavailableError, match="writes are held"):
            await gated.append(server())
        async with house.auditor():
            await house.trusted()
            assert (await gated.append(server())).seq == 1


async def test_a_high_risk_request_is_signed_within_a_second(house: House) -> None:
    async with house.auditor(checkpoint_every_s=60.0):
        await house.trusted()
        await house.projected((await house.bus.append(server())).seq)
        request = backup_requested()
        wanted = RestoreRequested(
            restore_id=request.backup_id,
            run_id=request.run_id,
            backup_id=request.backup_id,
            target=shop("copy"),
            run_pool="core",
        )

        began = time.monotonic()
        seq = (await house.bus.append(wanted, expect=Expect(0))).seq

        async def signed() -> bool:
            return await house.ask_postgres("SELECT max(size) FROM audit_checkpoints") == seq

        await eventually(signed, within=5)
        assert time.monotonic() - began < 1.0
        state = await house.bus.state(AUDIT_CKPT)
        async for sent in house.bus.follow(AUDIT_CKPT, after_seq=state.last_seq - 1):
            note = open_note(sent.data.decode(), origin_of(KEY.public), KEY.public)
            assert note.size == seq
            break


async def test_an_idle_platform_appends_no_event_and_signs_now_and_then(house: House) -> None:
    async with house.auditor(checkpoint_every_s=0.3):
        await house.trusted()
        await house.projected((await house.bus.append(server())).seq)
        before = (await house.bus.state(AUDIT_CKPT)).messages

        await asyncio.sleep(1.5)

        signed = (await house.bus.state(AUDIT_CKPT)).messages - before
        assert 3 <= signed <= 7
        assert (await house.bus.state("EVENTS")).last_seq == 1


async def test_a_standby_takes_over_within_five_seconds_and_nothing_is_twice(
    house: House,
) -> None:
    async with house.auditor("one") as first, house.auditor("two"):
        await house.trusted()
        await house.projected((await house.bus.append(server())).seq)
        await house.bus.kv("leases").delete("auditor")  # as if its holder had died
        began = time.monotonic()
        last = [await house.bus.append(message) for message in backup_story()][-1]
        await house.projected(last.seq, within=5)

        assert time.monotonic() - began < 5
        assert await house.ask_postgres("SELECT count(*) FROM audit_logs") == last.seq
        await house.trusted(within=5)
        assert not first.done()  # it stands by


async def test_another_audit_key_is_refused_on_a_log_that_has_one(house: House) -> None:
    async with house.auditor():
        await house.trusted()
        await house.projected((await house.bus.append(server())).seq)

        async def signed() -> object:
            return await house.ask_postgres("SELECT note FROM audit_checkpoints")

        await eventually(signed)
    async with house.auditor(key=SigningKey(bytes(32))) as stranger:
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(stranger, 10)

        assert "audit key" in str(_leaf(caught.value))


async def test_a_postgres_that_was_set_back_is_noticed_before_anything_is_signed(
    house: House,
) -> None:
    async with house.auditor():
        await house.trusted()
        await house.projected((await house.bus.append(server())).seq)

        async def signed() -> object:
            return await house.ask_postgres("SELECT note FROM audit_checkpoints")

        await eventually(signed)
    await house.ask_postgres(
        "WITH gone AS (DELETE FROM audit_checkpoints RETURNING 1) SELECT count(*) FROM gone"
    )
    await _change_a_leaf(house)
    async with house.auditor() as auditor:
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(auditor, 10)

        assert "signed" in str(_leaf(caught.value))


async def _change_a_leaf(house: House) -> None:
    from services.auditor.writer import connected

    async with connected(house.database) as connection:
        await connection.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
        await connection.execute("UPDATE audit_logs SET leaf_hash = sha256('x')")


async def test_keys_are_mirrored_restored_and_erased(house: House) -> None:
    keys = house.bus.kv("keys")
    async with house.auditor():
        await house.trusted()
        await keys.put("secret-a", b"wrapped a")
        await keys.put("person-b", b"wrapped b")

        async def mirrored() -> bool:
            return await house.ask_postgres("SELECT count(*) FROM sealed_keys") == 2

        await eventually(mirrored)
        await house.bus.append(KeyErased(key_id="person-b", reason="asked for"))

        async def erased() -> bool:
            return await keys.get("person-b") is None

        await eventually(erased)
        assert await house.ask_postgres("SELECT string_agg(key_id, ',') FROM sealed_keys") == (
            "secret-a"
        )
    await keys.delete("secret-a")  # the bucket lost it: no fact says that it was erased
    await keys.put("person-b", b"back from an old copy")
    async with house.auditor():

        async def restored() -> bool:
            entry = await keys.get("secret-a")
            return entry is not None and entry.value == b"wrapped a"

        await eventually(restored)
        await eventually(erased)


async def test_an_auditor_goes_on_where_it_was_when_postgres_was_killed(
    nats: Nats, tmp_path: Path
) -> None:
    with postgres_server(tmp_path / "postgres", durable=True) as server_of_its_own:
        url = server_of_its_own.dsn(driver="postgresql+asyncpg")
        await migrate(url)
        async with a_house(nats, url) as house, house.auditor() as auditor:
            await house.trusted()
            await house.projected((await house.bus.append(server())).seq)
            for _ in range(2):
                server_of_its_own.kill9()
                last = [await house.bus.append(message) for message in backup_story()][-1]
                await asyncio.to_thread(server_of_its_own.start)

                await house.projected(last.seq, within=20)
                await house.trusted()
            assert await house.ask_postgres("SELECT count(*) FROM audit_logs") == last.seq == 9
            assert not auditor.done()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PlatformError)
    return error
