"""The audit log goes over to a new key: only by the old one's word, and not back."""

from __future__ import annotations

from shared.archive.keys import SigningKey
from shared.audit.note import Checkpoint, sign
from shared.audit.succession import Succession, hand_over
from shared.bus.base import AUDIT_CKPT
from shared.keys.audit import AuditKey
from shared.messages.base import now
from tests.integration.auditor.house import KEY, House
from tests.integration.auditor.test_service import _leaf
from tests.support.waiting import eventually
from tests.unit.auditor.events import server

NEW = SigningKey(bytes(range(1, 33)))


async def signed_upto(house: House, seq: int) -> str:
    async def note() -> object:
        return await house.ask_postgres("SELECT note FROM audit_checkpoints WHERE size = $1", seq)

    return str(await eventually(note, within=10))


def handed_over(size: int) -> AuditKey:
    said = hand_over(Succession.of(KEY.public), KEY, NEW, size=size, at=now())
    return AuditKey(NEW, Succession.of(NEW.public, [said]))


async def test_the_log_goes_on_under_the_new_key_and_the_old_one_is_done(house: House) -> None:
    async with house.auditor():
        await house.trusted()
        first = (await house.bus.append(server())).seq
        await signed_upto(house, first)
    key = handed_over(size=first)

    async with house.auditor(key=key):
        await house.trusted()
        second = (await house.bus.append(server())).seq
        note = await signed_upto(house, second)

    assert key.succession.open(note).size == second
    assert "holdfast/" + note.split("/")[1].split("\n")[0] == Succession.of(KEY.public).origin
    async with house.auditor() as old:
        await eventually(old.done, within=10)
        error = old.exception()
    assert error is not None
    assert _leaf(error).code == "audit.key"


async def test_a_new_key_that_nobody_vouched_for_is_refused(house: House) -> None:
    async with house.auditor():
        await house.trusted()
        await signed_upto(house, (await house.bus.append(server())).seq)

    async with house.auditor(key=NEW) as stranger:
        await eventually(stranger.done, within=10)
        error = stranger.exception()

    assert error is not None
    assert _leaf(error).code == "audit.key"


async def test_what_the_old_key_signs_after_its_time_stops_the_auditor(house: House) -> None:
    async with house.auditor():
        await house.trusted()
        first = (await house.bus.append(server())).seq
        await signed_upto(house, first)
    origin = Succession.of(KEY.public).origin
    late = sign(Checkpoint(origin, first + 5, bytes(32), "2026"), KEY)  # whoever stole it
    await house.bus.keep(AUDIT_CKPT, "ckpt.audit", late.encode(), key="late")

    async with house.auditor(key=handed_over(size=first)) as auditor:
        await eventually(auditor.done, within=10)
        error = auditor.exception()

    assert error is not None
    assert _leaf(error).code == "audit.key"
