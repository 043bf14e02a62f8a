"""Whether a backup can be restored, for every state of what it builds on."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from shared.restorability import Restorability, Restorable, Standing, restorability

FULL = Standing(id=UUID(int=1), parent_id=None, status="completed", proof="verified")
FIRST = Standing(id=UUID(int=2), parent_id=FULL.id, status="completed", proof="verified")
SECOND = Standing(id=UUID(int=3), parent_id=FIRST.id, status="completed", proof="verified")


def of(*chain: Standing) -> Restorability:
    """Of the last one."""
    return restorability(chain[-1], {one.id: one for one in chain})


def changed(one: Standing, **changes: object) -> Standing:
    return msgspec.structs.replace(one, **changes)


def test_what_was_read_back_down_to_its_full_is_proven() -> None:
    assert of(FULL) == of(FULL, FIRST, SECOND) == Restorability(state=Restorable.PROVEN)


@pytest.mark.parametrize("at", range(3))
def test_what_was_never_read_back_is_unproven(at: int) -> None:
    chain = [FULL, FIRST, SECOND]
    chain[at] = changed(chain[at], proof="unverified")

    found = of(*chain)

    assert found.state is Restorable.UNPROVEN
    assert "read back" in found.reason


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("change", [{"proof": "corrupt"}, {"status": "deleted"}])
def test_a_chain_with_a_bad_or_missing_part_is_broken(at: int, change: dict[str, str]) -> None:
    chain = [FULL, FIRST, SECOND]
    chain[at] = changed(chain[at], **change)

    assert of(*chain).state is Restorable.BROKEN
    chain[at] = changed(chain[at], copies=["verified"])
    assert of(*chain).state is Restorable.PROVEN
    chain[at] = changed(chain[at], copies=["verified"], wanted_gone=True)
    assert of(*chain).state is Restorable.BROKEN


def test_a_chain_whose_full_is_not_known_or_that_is_a_circle_is_broken() -> None:
    assert of(FIRST, SECOND).state is Restorable.BROKEN
    assert of(changed(FIRST, parent_id=SECOND.id), SECOND).state is Restorable.BROKEN
