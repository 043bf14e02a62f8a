"""Facts about stores."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from shared.messages.base import Fact, Key
from shared.messages.values import Problem


class StoreFact(Fact, frozen=True, kw_only=True):
    """About one store."""

    KEYED_BY: ClassVar[str] = "store_id"
    store_id: Key


class StoreTestRequested(StoreFact, frozen=True, kw_only=True):
    """Somebody wants to know whether the store can be written to and read from."""

    run_id: UUID


class StoreTested(StoreFact, frozen=True, kw_only=True):
    """An object went in, came back equal and was deleted; or why not.

    `free_bytes`: what can still be written there, where the store knows it.
    """

    run_id: UUID
    seconds: float
    free_bytes: int | None = None
    problem: Problem | None = None


class RefusedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a store and was not imported, and the code of the reason."""

    prefix: str
    code: str


class StoreImportRequested(StoreFact, frozen=True, kw_only=True):
    """The backups in the store that the platform with this fingerprint signed are to be known
    here. `trusted` stands on that platform's recovery sheet."""

    trusted: str


class StoreImported(StoreFact, frozen=True, kw_only=True):
    """The store was searched: how many backups are new here, and how many were known before.

    `refused` names the first of those that were not believed or not whole, out of `refusals`.
    """

    trusted: str
    imported: int = 0
    known: int = 0
    refusals: int = 0
    refused: list[RefusedArchive] = []
    seconds: float
    problem: Problem | None = None


class StoreFilling(StoreFact, frozen=True, kw_only=True):
    """What the store holds has reached `percent` of its quota; said once at each threshold."""

    percent: int
    stored_bytes: int
    quota_bytes: int
    problem: Problem


class StoreRelieved(StoreFact, frozen=True, kw_only=True):
    """The store is well below the first threshold of its quota again."""
