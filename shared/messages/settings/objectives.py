"""The settings that say how much may be lost."""

from __future__ import annotations

from shared.messages.base import Setting


class ObjectiveSetting(Setting, frozen=True, kw_only=True):
    """How old the last good backup may get (`rpo_s`), and how long a restore may take (`rto_s`).

    For the databases that are named, on servers of the groups, or with one of the tags; none of
    the three: for all. Of several objectives the strictest counts.
    """

    name: str
    rpo_s: int
    rto_s: int | None = None
    database_ids: list[str] = []
    group_ids: list[str] = []
    tags: list[str] = []
