"""Reads an archive as a restore would, with its keys, and compares all that can be compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from shared.archive.chain import Chain, Link, Member, believed
from shared.archive.chain_reader import read_dump
from shared.archive.cut import Chunker
from shared.archive.errors import (
    ArchiveError,
    ObjectChangedError,
    ParentMissingError,
    TrailerMismatchError,
    TruncatedError,
)
from shared.archive.keys import Trust
from shared.archive.logical import known_chunks
from shared.archive.matching import Known
from shared.archive.objects import verified
from shared.archive.reader import read_log
from shared.stores.base import ObjectDamagedError, ObjectNotFoundError, Store


async def read_deeply(links: Sequence[Link], trusted: Trust) -> AsyncGenerator[int, None]:
    """Of `links[0]`, whatever it builds on; gives the raw bytes of each piece as they come.

    Decrypted and unpacked are every frame that its dump is made of, and its log; compared are the
    hash of each of its own objects, the name of each chunk of the dump with the indexes of the
    chain, and the whole dump with the trailer.
    **It is whole only if the iteration ends without an exception.**
    """
    with _as_damage():
        own = links[0]
        chain = await Chain.open(links, trusted)
        await _require_whole(own, chain.members[0])
        await read_log(own.store, own.prefix, archive_key=own.archive_key, trusted=trusted)
        names = _Names(chain)
        async with aclosing(read_dump(links, trusted)) as dump, aclosing(names.rows):
            async for piece in dump:
                await names.compare(piece)
                yield len(piece)
            await names.end()


@contextmanager
def _as_damage() -> Iterator[None]:
    """An object that goes away, or that the store itself finds damaged, is damage as any other."""
    try:
        yield
    except ObjectNotFoundError as error:
        raise TruncatedError("an object of the archive is missing") from error
    except ObjectDamagedError as error:
        raise ObjectChangedError("the store itself says that an object is damaged") from error


async def _require_whole(link: Link, member: Member) -> None:
    """Each object as its manifest says; a full's data and index are compared as they are read."""
    for record in member.body.objects:
        if len(member.header.archives) > 1 or record.name == "log":
            async with aclosing(verified(link.store, link.prefix, record)) as pieces:
                async for _ in pieces:
                    pass


class _Names:
    """The chunks that the indexes say the dump is made of, against those that it is cut into."""

    def __init__(self, chain: Chain) -> None:
        secret = next((one.header.chain_secret for one in chain.members if _has(one)), None)
        if secret is None:
            raise ParentMissingError("no archive of the chain is a full backup")
        self._chunker = Chunker(chain.members[0].header.cut, bytes.fromhex(secret))
        self.rows = known_chunks(chain)
        self._listed: list[tuple[bytes, int]] = []

    async def compare(self, piece: bytes) -> None:
        await self._require(await asyncio.to_thread(self._chunker.update, piece))

    async def end(self) -> None:
        """After the dump's last byte nothing may be listed any more."""
        await self._require(await asyncio.to_thread(self._chunker.finish))
        more: Sequence[Known] | None = await anext(self.rows, None)
        if self._listed or more:
            raise TrailerMismatchError("the index lists more chunks than the dump has")

    async def _require(self, found: Sequence[tuple[bytes, int]]) -> None:
        while len(self._listed) < len(found):
            known: Sequence[Known] | None = await anext(self.rows, None)
            if known is None:
                raise TrailerMismatchError("the dump has more chunks than the index lists")
            self._listed += [(one.name, one.length) for one in known]
        if self._listed[: len(found)] != list(found):
            raise TrailerMismatchError("a chunk of the dump is not the one that the index lists")
        del self._listed[: len(found)]


def _has(member: Member) -> bool:
    return member.header.chain_secret is not None


async def damage_of(link: Link, trusted: Trust) -> ArchiveError | None:
    """What is wrong with an archive's stored bytes by the hashes of its manifest, if anything."""
    try:
        with _as_damage():
            body = await believed(link, trusted)
            for record in body.objects:
                async for _ in verified(link.store, link.prefix, record):
                    pass
    except ArchiveError as error:
        return error
    return None


async def holds_anything(store: Store) -> bool:
    """Whether anything is in it: a folder where the store is not mounted is empty."""
    found: AsyncIterator[object] = store.list("")
    async for _ in found:
        return True
    return False
