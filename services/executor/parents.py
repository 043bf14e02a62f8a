"""The archive that an increment is to build on: opened, and only if it can be built on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from services.executor.engines.base import DumpFacts
from services.executor.sifting import Parent
from shared.archive.chain import Chain, Link
from shared.archive.errors import ArchiveError
from shared.archive.keys import Trust
from shared.archive.manifest import About
from shared.archive.objects import verified


def differs(parent: About, engine: str, now: DumpFacts) -> str:
    """Why a dump cannot build on an archive, as a sentence; nothing where it can."""
    same = {
        "it is of another engine": (parent.engine, engine),
        "another server answers now": (parent.identity, now.identity),
        "the server has another version": (
            _major(parent.server_version),
            _major(now.server_version),
        ),
        "the dump tool has another version": (
            _major(parent.tool_version),
            _major(now.tool_version),
        ),
    }
    return next((why for why, (was, is_) in same.items() if was != is_), "")


@asynccontextmanager
async def parent_in(
    links: Sequence[Link],
    trusted: Trust,
    fits: Callable[[About], str],
    on_refused: Callable[[str], None],
) -> AsyncIterator[Parent | None]:
    """The parent, open while the block runs; None where there is none, or where the archive is
    not whole or does not fit: `on_refused` is told why.

    Every index of the chain is read once before, and compared with its manifest: the dump must not
    fail amid its work because of an old backup. Raises StoreError where the store does not answer.
    """
    if not links:
        yield None
        return
    try:
        chain = await Chain.open(links, trusted)
        await _require_indexes(chain, links)
        refused = fits(chain.members[0].body.about)
        parent = None if refused else Parent(chain)
    except ArchiveError as error:
        refused, parent = f"the chain cannot be built on: {error.cause}", None
    if parent is None:
        on_refused(refused)
        yield None
        return
    try:
        yield parent
    finally:
        await parent.close()


async def _require_indexes(chain: Chain, links: Sequence[Link]) -> None:
    known = {link.name: link for link in links}
    for name, member in zip(chain.members[0].header.archives, chain.members, strict=True):
        link = known[name]
        async for _ in verified(link.store, link.prefix, member.body.find("index")):
            pass


def _major(version: str) -> str:
    return version.split(".", 1)[0]
