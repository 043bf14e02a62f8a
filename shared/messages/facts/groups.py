"""Facts about groups of servers."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import Fact, Key
from shared.messages.values import Problem


class GroupFact(Fact, frozen=True, kw_only=True):
    """About one group."""

    KEYED_BY: ClassVar[str] = "group_id"
    group_id: Key


class GroupFilling(GroupFact, frozen=True, kw_only=True):
    """The backups of the group's servers, in all stores, have used `percent` of its quota."""

    percent: int
    stored_bytes: int
    quota_bytes: int
    problem: Problem


class GroupRelieved(GroupFact, frozen=True, kw_only=True):
    """The group uses clearly less than the first threshold again, or has no quota any more."""
