"""A chain: an archive and those it builds on, opened for ranged reads."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar, cast

import msgspec

from shared.archive.errors import (
    ObjectChangedError,
    ParentMissingError,
    TruncatedError,
    UnsupportedError,
    UntrustedError,
)
from shared.archive.frames import Preamble, decode_header
from shared.archive.header import Role
from shared.archive.index import ArchiveName, Chunk, Frame, IndexHeader, IndexReader, Run, Totals
from shared.archive.keys import Trust
from shared.archive.manifest import Body, read_manifest
from shared.archive.objects import read_small, require_sizes
from shared.archive.ranged import SealedObject
from shared.stores.base import Store

_INDEX_PIECE = 256 << 10
_HEADER_PIECE = 64 << 10
_Row = TypeVar("_Row", Frame, Chunk, Run)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One archive of a chain: where it lies, and what opens it.

    Without `manifest_sha256` any manifest of this name is taken that is trusted.
    """

    store: Store
    prefix: str
    archive_key: bytes
    manifest_sha256: str = ""

    def __repr__(self) -> str:
        return f"Link(prefix={self.prefix!r})"

    @property
    def name(self) -> ArchiveName:
        backup_id, _, attempt = self.prefix.rpartition("/")
        return ArchiveName(backup_id.rpartition("/")[2], attempt)


class Member:
    """One archive of an opened chain."""

    def __init__(
        self, body: Body, header: IndexHeader, index: SealedObject, data: SealedObject
    ) -> None:
        self.body, self.header, self.index, self.data = body, header, index, data

    @classmethod
    async def open(cls, link: Link, trusted: Trust) -> Member:
        """Raises an ArchiveError unless the archive is there, whole by its sizes, and trusted."""
        body = await believed(link, trusted)
        await require_sizes(link.store, link.prefix, body)
        index, data = [
            await SealedObject.open(link.store, link.prefix, body, role, link.archive_key)
            for role in (Role.INDEX, Role.DATA)
        ]
        return cls(body, await _header(index), index, data)

    async def rows(self, kind: type[_Row]) -> AsyncGenerator[Sequence[_Row], None]:
        """One table of the index, in segments, by ranged reads; the end is checked."""
        reader = IndexReader({kind})
        for at in range(0, self.index.length, _INDEX_PIECE):
            for segment in reader.feed(await self.index.read(at, _INDEX_PIECE)):
                if not isinstance(segment, Totals):
                    yield cast(Sequence[_Row], segment)
        reader.finish()


class Chain:
    """An archive and those it builds on; `members[n]` is what its index calls archive n."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members

    @classmethod
    async def open(cls, links: Sequence[Link], trusted: Trust) -> Chain:
        """`links` begin with the archive itself, in any order else.

        Raises ParentMissingError where one that it builds on is not among them or not where it
        should be; an ArchiveError for what cannot be believed.
        """
        first = await Member.open(links[0], trusted)
        known = {link.name: link for link in links}
        named = first.header.archives
        if not named or named[0] != links[0].name or len(set(named)) != len(named):
            raise UntrustedError("the index belongs to another archive")
        members = [first]
        for name in named[1:]:
            if name not in known:
                raise ParentMissingError(f"backup {name.backup_id} is not at hand")
            members.append(await _parent(known[name], trusted))
        return cls(members)


async def _parent(link: Link, trusted: Trust) -> Member:
    try:
        return await Member.open(link, trusted)
    except TruncatedError as error:
        raise ParentMissingError(
            f"backup {link.name.backup_id}, which it builds on, is not whole in its store"
        ) from error


async def believed(link: Link, trusted: Trust) -> Body:
    """The manifest of a link; raises an ArchiveError unless it is the very one and trusted."""
    content = await read_small(link.store, f"{link.prefix}/manifest")
    if link.manifest_sha256 and hashlib.sha256(content).hexdigest() != link.manifest_sha256:
        raise ObjectChangedError("the manifest is not the one that was written for this backup")
    body = read_manifest(content, trusted)
    if ArchiveName(body.backup_id, body.attempt) != link.name:
        raise UntrustedError("the manifest belongs to another archive")
    return body


async def _header(index: SealedObject) -> IndexHeader:
    found = Preamble().feed(await index.read(0, _HEADER_PIECE + 4))
    if found is None:
        raise UnsupportedError("the index has no header that this release knows")
    return decode_header(found[0], IndexHeader)
