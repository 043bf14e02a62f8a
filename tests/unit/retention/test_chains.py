"""A backup that others need lives as long as they do."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.retention.policy import Candidate, judged
from shared.retention.reasons import Reason
from shared.retention.rules import Rules
from tests.unit.retention.builders import NOW, a_copy, candidate, histories, kept, rules

KEEP_ONE = Rules(keep_last=1)


def linked(*days: int, policy: Rules = KEEP_ONE) -> list[Candidate]:
    """A full, and incrementals that each need the one before."""
    made = [candidate(days[0], rules=policy)]
    for day in days[1:]:
        made.append(candidate(day, rules=policy, parent_id=made[-1].backup_id))
    return made


def test_a_full_lives_while_an_incremental_needs_it() -> None:
    history = linked(0, 1, 2)

    assert kept(history) == history
    assert judged(history, NOW).verdicts[-1].reasons == (Reason.NEEDED,)


def test_a_chain_goes_as_a_whole_once_nothing_of_it_is_kept() -> None:
    old, new = linked(0, 1, 2), linked(3, 4)

    assert kept([*old, *new]) == new


def test_an_incremental_of_a_damaged_full_is_not_good() -> None:
    old = candidate(0, rules=KEEP_ONE)
    full, *later = linked(1, 2)
    broken = a_copy(full, corrupt=True, verified=False)

    assert kept([old, broken, *later]) == [old, broken, *later]


def test_an_incremental_without_its_full_is_not_good() -> None:
    old, orphan = candidate(0, rules=KEEP_ONE), candidate(1, rules=KEEP_ONE, parent_id=UUID(int=99))

    assert kept([old, orphan]) == [old, orphan]


def test_a_copy_is_restored_with_the_full_of_another_store_when_its_own_has_none() -> None:
    full = candidate(0, rules=KEEP_ONE, store_id="s2")
    needing = candidate(1, rules=KEEP_ONE, parent_id=full.backup_id)
    newer = candidate(2, rules=KEEP_ONE, store_id="s2")

    assert kept([full, needing, newer]) == [full, needing, newer]


def test_two_backups_that_claim_to_need_each_other_are_not_good_and_harm_nothing() -> None:
    good = candidate(0, rules=KEEP_ONE)
    one, other = candidate(1, rules=KEEP_ONE), candidate(2, rules=KEEP_ONE)
    circle = [a_copy(one, parent_id=other.backup_id), a_copy(other, parent_id=one.backup_id)]

    assert good in kept([good, *circle])


def test_a_chain_of_ten_thousand_is_judged_without_recursion() -> None:
    history = linked(*range(10_000))

    assert kept(history) == history


@given(st.data())
def test_what_is_kept_has_everything_it_needs(data: st.DataObject) -> None:
    history = data.draw(histories([data.draw(rules("p")), data.draw(rules("q"))], chained=True))
    stays = kept(history)

    standing = {one.backup_id for one in stays}
    known = {one.backup_id for one in history}
    for one in stays:
        assert one.parent_id in {None} | standing or one.parent_id not in known
