"""Grants and rights as callers write them, checked against what there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta
from sqlalchemy import select

from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.representations import Input, Label
from services.gateway.rights import Right
from shared.messages.values import Grant, Role
from shared.readmodel.tables import server_groups

Environment = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 _.-]+$")]
ORDER = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)


class NewGrant(Input, frozen=True, kw_only=True):
    """A role on the servers of these environments or groups; neither named: on everything.

    `without` takes single rights away from it.
    """

    role: Role
    environments: Annotated[list[Environment], Meta(max_length=50)] = []
    group_ids: Annotated[list[Label], Meta(max_length=50)] = []
    without: Annotated[list[Right], Meta(max_length=100)] = []

    def granted(self) -> Grant:
        """The same, as the messages carry it."""
        return Grant(
            role=self.role,
            environments=self.environments,
            group_ids=self.group_ids,
            without=[right.value for right in self.without],
        )


NewGrants = Annotated[list[NewGrant], Meta(max_length=50)]


def highest(role: Role, grants: Sequence[NewGrant]) -> None:
    """Raise unless `role` says truly what the highest of the grants is."""
    if grants and role is not max((grant.role for grant in grants), key=ORDER.index):
        fault = InputFault("/role", "with grants, the role is the highest role among them")
        raise InvalidFieldsError("role and grants do not fit together", [fault])


async def refuse_unknown_groups(
    deps: Dependencies, group_ids: Iterable[str], pointer: str = "/group_ids"
) -> None:
    """Raise unless every group exists."""
    wanted = sorted(set(group_ids))
    if not wanted:
        return
    query = select(server_groups.c.id).where(server_groups.c.id.in_(wanted))
    known = {row.id for row in await deps.read_model.rows(query)}
    if missing := [group for group in wanted if group not in known]:
        fault = InputFault(pointer, f"no such group: {', '.join(missing)}")
        raise InvalidFieldsError("a group does not exist", [fault])


async def refuse_unknown_in(deps: Dependencies, grants: Sequence[NewGrant]) -> None:
    """Raise unless every group that the grants name exists."""
    await refuse_unknown_groups(
        deps, (group for grant in grants for group in grant.group_ids), "/grants"
    )
