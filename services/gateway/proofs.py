"""Proofs out of the audit tree: computed from the stored leaf hashes, checked before they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from sqlalchemy import select

from shared.audit.merkle import (
    consistency_ranges,
    consistent,
    includes,
    inclusion_ranges,
    root_of,
)
from shared.errors import PlatformError
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import audit_logs

BLOCK = 1024
"""Leaves whose root is remembered: 32 bytes for each 1024 entries, however long the log is."""
READ_AT_ONCE = 16


class ProofRefusedError(PlatformError):
    """The stored entries do not lead to the root that was signed: somebody changed them."""

    code = "audit.proof_refused"
    status = HTTPStatus.CONFLICT
    default_fix = "export the log and run `holdfast audit verify`; then see docs/audit.md, Repair"


class Proofs:
    """Inclusion and consistency; no proof is given out that does not hold.

    Roots of full blocks never change, so they are kept; where a proof fails, they are read anew
    before it is said that the log was changed.
    """

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._blocks: list[bytes] = []
        self._turn = asyncio.Lock()

    async def inclusion(self, n: int, size: int, root: bytes) -> tuple[bytes, list[bytes]]:
        """The hash of leaf `n` and the path from it to `root`; raises ProofRefusedError."""
        for _ in range(2):
            (leaf,) = await self._leaves(n, n + 1) or [b""]
            path = await self._roots(inclusion_ranges(n, size))
            if includes(leaf, n, size, path, root):
                return leaf, path
            self._blocks.clear()
        raise ProofRefusedError(f"entry {n} is not the one that was signed")

    async def consistency(
        self, old_size: int, old_root: bytes, size: int, root: bytes
    ) -> list[bytes]:
        """The proof that nothing before `old_size` changed; raises ProofRefusedError."""
        for _ in range(2):
            path = await self._roots(consistency_ranges(old_size, size))
            if consistent(old_size, old_root, size, root, path):
                return path
            self._blocks.clear()
        raise ProofRefusedError(f"the log of {size} entries does not go on from that of {old_size}")

    async def _roots(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [await self._root(low, high) for low, high in ranges]

    async def _root(self, low: int, high: int) -> bytes:
        """The root of a range that a proof names: longer than a block, it begins at one."""
        if high - low <= BLOCK:
            return root_of(await self._leaves(low, high))
        first, last = low // BLOCK, high // BLOCK
        await self._fill(last)
        parts = self._blocks[first:last]
        if high % BLOCK:
            parts = [*parts, root_of(await self._leaves(last * BLOCK, high))]
        return root_of(parts)

    async def _fill(self, blocks: int) -> None:
        """Remember the roots of the first `blocks` blocks."""
        async with self._turn:
            while len(self._blocks) < blocks:
                first = len(self._blocks)
                end = min(first + READ_AT_ONCE, blocks)
                leaves = await self._leaves(first * BLOCK, end * BLOCK)
                self._blocks += await asyncio.to_thread(_block_roots, leaves)

    async def _leaves(self, low: int, high: int) -> list[bytes]:
        query = (
            select(audit_logs.c.leaf_hash)
            .where(audit_logs.c.n >= low, audit_logs.c.n < high)
            .order_by(audit_logs.c.n)
        )
        return [bytes(row.leaf_hash) for row in await self._read_model.rows(query)]


def _block_roots(leaves: list[bytes]) -> list[bytes]:
    return [root_of(leaves[at : at + BLOCK]) for at in range(0, len(leaves), BLOCK)]
