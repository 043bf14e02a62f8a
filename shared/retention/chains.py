"""Backups that need others: which can be restored, and what has to stay for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from shared.retention.reasons import Reason


class Link(Protocol):
    """A copy of a backup in a store, and the backup that it needs."""

    @property
    def backup_id(self) -> UUID: ...
    @property
    def store_id(self) -> str: ...
    @property
    def parent_id(self) -> UUID | None: ...
    @property
    def corrupt(self) -> bool: ...


class Chains:
    """The chains among the copies of one database's backups.

    `sound` says of each copy whether it can be restored: it is whole, and so is everything that it
    needs. A chain is looked for in the copy's own store first, then in the others.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._copies: dict[UUID, list[int]] = defaultdict(list)
        self.sound = [not one.corrupt for one in links]
        self._chained = [index for index, one in enumerate(links) if one.parent_id is not None]
        if self._chained:
            for index, one in enumerate(links):
                self._copies[one.backup_id].append(index)
            self._settle()

    def _settle(self) -> None:
        """Sound is what reaches a full: beginning at those, so a circle is never sound."""
        children: dict[UUID, list[int]] = defaultdict(list)
        for index in self._chained:
            parent = self._links[index].parent_id
            assert parent is not None
            children[parent].append(index)
            self.sound[index] = False
        reached = [index for index, sound in enumerate(self.sound) if sound]
        while reached:
            for child in children.get(self._links[reached.pop()].backup_id, ()):
                if not self.sound[child] and not self._links[child].corrupt:
                    self.sound[child] = True
                    reached.append(child)

    def close(self, masks: list[int]) -> None:
        """Keep whatever something kept needs, however far down the chain it is."""
        waiting = [index for index in self._chained if masks[index]]
        while waiting:
            for parent in self._parents(waiting.pop()):
                unkept = not masks[parent]
                masks[parent] |= Reason.NEEDED
                if unkept and self._links[parent].parent_id is not None:
                    waiting.append(parent)

    def _parents(self, index: int) -> list[int]:
        """The copy that this one is restored with; without a sound one beside it, all of them."""
        one = self._links[index]
        if one.parent_id is None:
            return []
        copies = self._copies.get(one.parent_id, [])
        beside = [c for c in copies if self._links[c].store_id == one.store_id and self.sound[c]]
        return beside or copies
