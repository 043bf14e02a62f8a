"""What moves to the next tier: whole chains, once every copy of them is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.storage.tiers import AGAIN_AFTER, Moving, Step, steps

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def moving(**values: Any) -> Moving:
    plain = Moving(backup_id=uuid4(), to_store_id="cold", since=NOW, verified=True, held=False)
    return msgspec.structs.replace(plain, **values)


def asked(chain: list[Moving]) -> dict[UUID, Step]:
    return {one.backup_id: step for step, one in steps(chain, NOW)}


MEMBERS = st.builds(
    Moving,
    backup_id=st.uuids(),
    to_store_id=st.just("cold"),
    since=st.just(NOW),
    verified=st.booleans(),
    held=st.booleans(),
    copy_status=st.sampled_from([None, "requested", "stored", "failed", "deleted", "expired"]),
    copy_corrupt=st.booleans(),
    copy_requested_at=st.sampled_from([NOW, NOW - AGAIN_AFTER - timedelta(hours=1)]),
)


@given(st.lists(MEMBERS, min_size=1, max_size=6, unique_by=lambda one: one.backup_id))
def test_a_chain_moves_as_a_whole_or_not_at_all(chain: list[Moving]) -> None:
    found = asked(chain)
    moved = [one for one in chain if found.get(one.backup_id) is Step.MOVE]

    assert moved in ([], chain)
    if moved:
        assert all(one.copy_status == "stored" and not one.copy_corrupt for one in chain)
    if found:
        assert all(one.verified and not one.held for one in chain)


def test_what_is_missing_there_is_asked_for_and_a_failed_copy_not_before_a_day() -> None:
    new = moving()
    stored = moving(copy_status="stored")
    fresh = moving(copy_status="failed", copy_requested_at=NOW - timedelta(hours=1))
    stale = moving(copy_status="failed", copy_requested_at=NOW - AGAIN_AFTER)

    assert asked([new, stored]) == {new.backup_id: Step.ASK}
    assert asked([fresh]) == {}
    assert asked([stale]) == {stale.backup_id: Step.ASK}
    assert asked([stored]) == {stored.backup_id: Step.MOVE}
