"""Which backups of one database in one store a policy no longer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A completed backup that still stands in its store."""

    id: UUID
    completed_at: datetime
    verified: bool = False
    corrupt: bool = False


def outlived(candidates: Sequence[Candidate], keep_last: int) -> list[Candidate]:
    """The candidates to expire, oldest first, when the newest `keep_last` good ones are kept.

    A corrupt backup is not good: it fills no place. The last good one and the last verified one
    are always kept, and as long as none is verified, all are: what has not been read back yet
    must not push out what may be the only copy that can be read.
    """
    ordered = sorted(candidates, key=lambda one: (one.completed_at, one.id), reverse=True)
    good = [one for one in ordered if not one.corrupt]
    proven = next((one for one in good if one.verified), None)
    places = max(keep_last, 1)
    if proven is None or len(good) < places:
        return []
    border = ordered.index(good[places - 1])
    return [one for one in ordered[:border:-1] if one is not proven]
