"""Which chunks of a new dump its parent holds already: a window that moves forward, and anchors.

Pure: it is told the parent's chunks in order and asked about the new ones in order. A reference
never goes backwards, so a restore reads every archive once, forward. Memory is bounded: a window
of the parent's chunks ahead, and a sparse sample of all of them to find regions that moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

import msgspec

WINDOW = 32_768
"""Parent chunks to look ahead at: about 256 MiB of the stream."""
PATIENCE = 512
"""Chunks in a row that are not found before the anchors are asked: about 4 MiB."""
_NEAR = 64
_ANCHORS = 32_768


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A chunk of the parent's logical stream: its name, and where it is stored."""

    name: bytes
    archive: int
    offset: int
    length: int


class Anchors:
    """A sample of the parent's chunks by name, thinned out as it fills: (name, place in order)."""

    def __init__(self, limit: int = _ANCHORS) -> None:
        self._limit, self._mask = limit, 0
        self._places: dict[bytes, int] = {}

    def add(self, name: bytes, place: int) -> None:
        """A name that comes again is of no use to find a place by: the first place stays."""
        if int.from_bytes(name[:4], "little") & self._mask:
            return
        self._places.setdefault(name, place)
        if len(self._places) > self._limit:
            self._mask = 2 * self._mask + 1
            self._places = {
                one: at
                for one, at in self._places.items()
                if not int.from_bytes(one[:4], "little") & self._mask
            }

    def find(self, name: bytes) -> int | None:
        return self._places.get(name)


class Matcher:
    """Finds new chunks among the parent's, each search going on behind the last find.

    The caller keeps `ahead` large with `extend`; after `ended` nothing more comes. Where it finds
    nothing for long, `lost` is true: with `anchors` set it may then learn where to go on, and
    `target` is the place up to which the caller should `drop` what comes.
    """

    def __init__(self, window: int = WINDOW, patience: int = PATIENCE) -> None:
        self.window, self._patience = window, patience
        self.anchors: Anchors | None = None
        self.target: int | None = None
        self._coming: deque[Known] = deque()
        self._places: dict[bytes, int] = {}
        self._place = 0
        """The place, in the parent's order, of the first chunk in the window."""
        self._missed = 0
        self._unsure: int | None = None
        self._hits: tuple[int, int] | None = None

    @property
    def ahead(self) -> int:
        """How many of the parent's chunks can be found now."""
        return len(self._coming)

    @property
    def end(self) -> int:
        """The place of the next chunk that `extend` or `drop` is told."""
        return self._place + len(self._coming)

    @property
    def lost(self) -> bool:
        """Nothing was found for so long that anchors should be made, if there are none."""
        return self._missed >= self._patience

    def extend(self, chunks: Sequence[Known]) -> None:
        """The parent's next chunks, in order."""
        places, first = self._places, self._place
        for place, chunk in enumerate(chunks, self.end):
            if places.setdefault(chunk.name, place) < first:
                places[chunk.name] = place
        self._coming.extend(chunks)
        if len(places) > 2 * len(self._coming) + _NEAR:
            self._places = {name: place for name, place in places.items() if place >= first}

    def drop(self, count: int) -> None:
        """Let so many of the parent's chunks that were not told yet pass, and all before them."""
        end = self.end + count
        self._coming.clear()
        self._places.clear()
        self._place, self._unsure = end, None
        if self.target is not None and end >= self.target:
            self.target = None

    def find(self, name: bytes, length: int) -> Known | None:
        """Where the parent holds this chunk, which is the next one of the new stream."""
        found = self._next(name, length) if self._coming else None
        if found is None:
            self._miss(name)
        else:
            self._missed, self._hits, self.target = 0, None, None
        return found

    def follow(self, chunks: Sequence[tuple[bytes, int]], at: int) -> list[Known]:
        """Where the parent holds the chunks from `at` on that come in its order, perhaps none.

        The same as to `find` each of them, for a fraction of the cost: most of a dump is old.
        """
        count = 0
        for known, (name, length) in zip(self._coming, islice(chunks, at, None), strict=False):
            if known.name != name or known.length != length:
                break
            count += 1
        if not count:
            return []
        self._missed, self._hits, self.target, self._unsure = 0, None, None, None
        self._place += count
        return [self._coming.popleft() for _ in range(count)]

    def _next(self, name: bytes, length: int) -> Known | None:
        unsure, self._unsure = self._unsure, None
        if self._coming[0].name == name:
            return self._take(0, length)
        place = self._places.get(name)
        if place is None or place < self._place:
            return None
        steps = place - self._place
        # Far away could be a chunk that the dump holds many times: two in a row are no accident.
        # The first of them is stored anew, which costs less than all that would be passed over.
        if steps <= _NEAR or (unsure == place and self._coming[steps - 1].name != name):
            return self._take(steps, length)
        self._unsure = place + 1
        return None

    def _take(self, steps: int, length: int) -> Known | None:
        if self._coming[steps].length != length:
            return None
        for _ in range(steps):
            self._pass()
        return self._pass()

    def _pass(self) -> Known:
        self._place += 1  # whoever finds a name at a place before this one has found nothing
        return self._coming.popleft()

    def _miss(self, name: bytes) -> None:
        """Two anchors in order, about as far apart as their chunks, tell where to go on."""
        self._missed += 1
        place = self.anchors.find(name) if self.anchors and self.lost else None
        if place is None or place < self.end:
            return
        before, self._hits = self._hits, (place, self._missed)
        if before is None:
            return
        apart, chunks = place - before[0], self._missed - before[1]
        if 0 < apart <= 4 * chunks + _NEAR:
            self.target = place
