"""The logical stream of an archive, as chunks: its run table merged with the chunk tables."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from shared.archive.chain import Chain, Member
from shared.archive.errors import TrailerMismatchError
from shared.archive.index import Chunk, Run
from shared.archive.matching import Known

_AT_ONCE = 2048


async def known_chunks(chain: Chain) -> AsyncGenerator[Sequence[Known], None]:
    """The chunks of the chain's newest archive in order, by forward reads of every index."""
    tables = [_Table(member, number) for number, member in enumerate(chain.members)]
    try:
        async with aclosing(chain.members[0].rows(Run)) as runs:
            async for segment in runs:
                for run in segment:
                    async for chunks in _of_archive(tables, run).chunks(run):
                        yield chunks
    finally:
        for table in tables:
            await table.close()


def _of_archive(tables: Sequence[_Table], run: Run) -> _Table:
    if run.archive >= len(tables):
        raise TrailerMismatchError("the index refers to an archive that it does not name")
    return tables[run.archive]


class _Table:
    """One archive's own chunks, passed over or given out in order."""

    def __init__(self, member: Member, number: int) -> None:
        self._number = number
        self._segments = member.rows(Chunk)
        self._rows: Sequence[Chunk] = ()
        self._at = 0
        self._offset = 0

    async def chunks(self, run: Run) -> AsyncIterator[Sequence[Known]]:
        """Those of one run, which begins and ends where chunks do."""
        found: list[Known] = []
        end = run.offset + run.length
        while self._offset < end:
            chunk = await self._next()
            if self._offset >= run.offset:
                found.append(Known(chunk.name, self._number, self._offset, chunk.length))
            elif self._offset + chunk.length > run.offset:
                raise TrailerMismatchError("a run of the index begins inside a chunk")
            self._offset += chunk.length
            if len(found) == _AT_ONCE:
                yield found
                found = []
        if self._offset != end:
            raise TrailerMismatchError("a run of the index ends inside a chunk, or goes backwards")
        yield found

    async def _next(self) -> Chunk:
        while self._at >= len(self._rows):
            rows = await anext(self._segments, None)
            if rows is None:
                raise TrailerMismatchError("the index refers to more than an archive holds")
            self._rows, self._at = rows, 0
        self._at += 1
        return self._rows[self._at - 1]

    async def close(self) -> None:
        await self._segments.aclose()
