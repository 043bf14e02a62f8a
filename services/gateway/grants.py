"""What a caller's grants say, without asking anybody."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from services.gateway.callers import Caller, Grants
from services.gateway.rights import OF_SERVERS, SHARED, Right, gives
from shared.messages.values import Grant, Role


class Place(msgspec.Struct, frozen=True):
    """Where a server stands, as far as scopes care."""

    environment: str
    group_ids: tuple[str, ...] = ()


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Where a right holds: on the servers of each of these environments and groups."""

    environments: list[str]
    group_ids: list[str]


def holds(caller: Caller, right: Right) -> bool:
    """Whether the caller has `right` anywhere: what the guard asks before a route runs."""
    if right in OF_SERVERS or right in SHARED:
        return all(any(gives(grant, right) for grant in layer) for layer in caller.layers)
    return everywhere(caller, right)


def everywhere(caller: Caller, right: Right) -> bool:
    """Whether the caller has `right` without a limit of scope."""
    return all(whole(layer, right) for layer in caller.layers)


def covers(caller: Caller, right: Right, place: Place | None) -> bool:
    """Whether the caller has `right` on a server at `place`; None is a server that is gone."""
    return all(
        any(gives(grant, right) and _within(grant, place) for grant in layer)
        for layer in caller.layers
    )


def rights_at(caller: Caller, place: Place) -> list[Right]:
    """What the caller may do with what belongs to a server at `place`."""
    return [right for right in Right if right in OF_SERVERS and covers(caller, right, place)]


def reach(caller: Caller, right: Right) -> Reach | None:
    """Where the caller has `right`; None when that has no limit."""
    if everywhere(caller, right):
        return None
    grants = [grant for layer in caller.layers for grant in layer]
    environments = sorted({name for grant in grants for name in grant.environments})
    groups = sorted({group for grant in grants for group in grant.group_ids})
    return Reach(
        environments=[name for name in environments if covers(caller, right, Place(name))],
        group_ids=[group for group in groups if covers(caller, right, Place("", (group,)))],
    )


def in_roles(caller: Caller, roles: Collection[Role]) -> Caller | None:
    """The caller with those grants only that have one of the roles; None when none is left."""
    layers = [tuple(it for it in layer if Role(it.role) in roles) for layer in caller.layers]
    if not all(layers):
        return None
    return msgspec.structs.replace(caller, grants=layers[0], within=tuple(layers[1:]))


def whole(layer: Grants, right: Right) -> bool:
    """Whether one grant of the list gives `right` without a limit of scope."""
    return any(gives(grant, right) and is_whole(grant) for grant in layer)


def is_whole(grant: Grant) -> bool:
    """Whether a grant has no limit of scope."""
    return not grant.environments and not grant.group_ids


def _within(grant: Grant, place: Place | None) -> bool:
    if is_whole(grant):
        return True
    if place is None:
        return False
    return place.environment in grant.environments or not set(place.group_ids).isdisjoint(
        grant.group_ids
    )
