"""Facts about databases and the objectives that they are under, on change only."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key


class ObjectiveFact(Fact, frozen=True, kw_only=True):
    """About one database, and the strictest objective that it is under.

    `good_at` is when the data of its last good backup was taken.
    """

    KEYED_BY: ClassVar[str] = "database_id"
    database_id: UUID
    server_id: UUID
    objective_id: Key
    rpo_s: int
    good_at: datetime | None = None


class ObjectiveEndangered(ObjectiveFact, frozen=True, kw_only=True):
    """Most of the time that the objective allows is over."""


class ObjectiveMissed(ObjectiveFact, frozen=True, kw_only=True):
    """The last good backup is older than the objective allows, or there is none."""


class ObjectiveMet(ObjectiveFact, frozen=True, kw_only=True):
    """There is a backup within the objective again."""
