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
        end = run.offset + run.length
        while self._offset < end:
            await self._fill()
            found = self._some(run.offset, end)
            if found:
                yield found
        if self._offset != end:
            raise TrailerMismatchError("a run of the index ends inside a chunk, or goes backwards")

    def _some(self, begin: int, end: int) -> Sequence[Known]:
        """Of the rows at hand those before `end`; what lies before `begin` is passed over."""
        number, offset = self._number, self._offset
        found: list[Known] = []
        for chunk in self._rows[self._at : self._at + _AT_ONCE]:
            if offset >= end:
                break
            after = offset + chunk.length
            if offset >= begin:
                found.append(Known(chunk.name, number, offset, chunk.length))
            elif after > begin:
                raise TrailerMismatchError("a run of the index begins inside a chunk")
            offset = after
            self._at += 1
        self._offset = offset
        return found

    async def _fill(self) -> None:
        while self._at >= len(self._rows):
            rows = await anext(self._segments, None)
            if rows is None:
                raise TrailerMismatchError("the index refers to more than an archive holds")
            self._rows, self._at = rows, 0

    async def close(self) -> None:
        await self._segments.aclose()
