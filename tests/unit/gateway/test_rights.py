"""The table of rights, and what grants make of it."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.callers import Caller
from services.gateway.grants import Place, Reach, covers, everywhere, holds, reach
from services.gateway.places import TOPICS
from services.gateway.rights import OF_SERVERS, RIGHTS, SHARED, Right, reading
from shared.messages.facts import AnyFact
from shared.messages.settings import AnySetting
from shared.messages.values import Grant, Role

ENVIRONMENTS, GROUPS = ("staging", "production"), ("a", "b")
names = st.sampled_from(ENVIRONMENTS)
groups = st.sampled_from(GROUPS)
rights = st.sampled_from([right for right in Right if right is not Right.PUBLIC])
grants = st.builds(
    Grant,
    role=st.sampled_from(Role),
    environments=st.lists(names, max_size=1),
    group_ids=st.lists(groups, max_size=1),
    without=st.lists(rights.map(lambda right: right.value), max_size=3),
)
places = st.builds(Place, names, st.lists(groups, max_size=2).map(tuple))


def caller(*held: Grant, within: tuple[tuple[Grant, ...], ...] = ()) -> Caller:
    return Caller(user_id="u", role=Role.VIEWER, session_id="s", grants=held, within=within)


def test_each_role_has_what_the_lower_one_has() -> None:
    assert RIGHTS[Role.VIEWER] < RIGHTS[Role.OPERATOR] < RIGHTS[Role.ADMIN]
    assert RIGHTS[Role.ADMIN] == frozenset(Right) - {Right.PUBLIC}


def test_every_right_about_servers_names_the_right_to_see_what_it_is_about() -> None:
    for right in OF_SERVERS:
        assert reading(right) in RIGHTS[Role.VIEWER]
    assert not OF_SERVERS & SHARED


def test_every_noun_says_who_may_hear_of_it() -> None:
    nouns = {kind.__struct_config__.tag.split(".")[0] for kind in get_args(AnyFact)}
    nouns |= {kind.__struct_config__.tag.split(".")[1] for kind in get_args(AnySetting)}

    told = "add the noun to TOPICS in services/gateway/places.py"
    assert nouns - {"claim", "removed"} <= TOPICS.keys(), told


@given(st.lists(grants, min_size=1), grants, rights, places)
def test_one_more_grant_never_takes_anything_away(
    held: list[Grant], more: Grant, right: Right, place: Place
) -> None:
    one, other = caller(*held), caller(*held, more)

    assert covers(one, right, place) <= covers(other, right, place)
    assert holds(one, right) <= holds(other, right)
    assert everywhere(one, right) <= everywhere(other, right)


@given(st.lists(grants, min_size=1), st.lists(grants, min_size=1), rights, places)
def test_what_limits_a_caller_never_gives_anything(
    held: list[Grant], limit: list[Grant], right: Right, place: Place
) -> None:
    free, limited = caller(*held), caller(*held, within=(tuple(limit),))

    assert covers(limited, right, place) <= covers(free, right, place)
    assert covers(limited, right, place) <= covers(caller(*limit), right, place)
    assert holds(limited, right) <= holds(free, right)


@given(st.lists(grants, min_size=1), rights, places)
def test_what_is_allowed_somewhere_is_allowed_by_the_guard(
    held: list[Grant], right: Right, place: Place
) -> None:
    one = caller(*held)

    if everywhere(one, right):
        assert covers(one, right, place)
        assert covers(one, right, None)
    if covers(one, right, place) and right in OF_SERVERS:
        assert holds(one, right)


@given(grants, rights)
def test_a_limited_scope_gives_nothing_of_the_whole_installation(
    grant: Grant, right: Right
) -> None:
    scoped = bool(grant.environments or grant.group_ids)

    if scoped and right not in OF_SERVERS | SHARED:
        assert not holds(caller(grant), right)
    if scoped and right is not Right.SELF:
        assert not everywhere(caller(grant), right)


def test_where_a_right_holds_is_told_by_environment_and_group() -> None:
    staging = Grant(role=Role.ADMIN, environments=["staging"], group_ids=["a"])
    reading_b = Grant(role=Role.VIEWER, environments=["production"], group_ids=["b"])
    scoped = caller(staging, reading_b)

    assert reach(scoped, Right.SERVERS_WRITE) == Reach(environments=["staging"], group_ids=["a"])
    assert reach(caller(Grant(role=Role.ADMIN)), Right.SERVERS_WRITE) is None
    nowhere = Reach(environments=[], group_ids=[])
    assert reach(caller(reading_b), Right.SERVERS_WRITE) == nowhere


@given(st.lists(grants, min_size=1), st.lists(grants, min_size=1), rights, places)
def test_what_stands_in_the_reach_of_a_right_is_covered_by_it(
    held: list[Grant], limit: list[Grant], right: Right, place: Place
) -> None:
    one = caller(*held, within=(tuple(limit),))
    told = reach(one, right)

    if (
        told is None
        or place.environment in told.environments
        or {*place.group_ids} & {*told.group_ids}
    ):
        assert covers(one, right, place)
