"""The Merkle tree of RFC 6962: hashes, appending, and proofs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that only remembers its right edge: the roots of its full subtrees, largest first.

    Appending costs one hash on average; `size` and `edge` are all that must be stored.
    """

    def __init__(self, size: int = 0, edge: bytes = b"") -> None:
        if len(edge) != HASH_BYTES * size.bit_count():
            raise ValueError(f"this is not the edge of a tree of {size} leaves")
        self.size = size
        self._edge = [edge[i : i + HASH_BYTES] for i in range(0, len(edge), HASH_BYTES)]

    @property
    def edge(self) -> bytes:
        return b"".join(self._edge)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        full = self.size
        while full & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            full >>= 1
        self._edge.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        if not self._edge:
            return EMPTY_ROOT
        *larger, root = self._edge
        for left in reversed(larger):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over the leaf hashes, in order."""
    tree = Tree()
    tree.extend(leaves)
    return tree.root()


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots lead from leaf `index` to the root, lowest first."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    ranges: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        split = low + _left_width(high - low)
        if index < split:
            ranges.append((split, high))
            high = split
        else:
            ranges.append((low, split))
            low = split
    return ranges[::-1]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of `leaves`, lowest first."""
    return [root_of(leaves[low:high]) for low, high in inclusion_ranges(index, len(leaves))]


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf hash stands at `index` under `root` (RFC 9162, 2.1.3)."""
    if not 0 <= index < size:
        return False
    place, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            leaf = node_hash(sibling, leaf)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and leaf == root


def consistency_ranges(old_size: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots show that the smaller tree is a prefix of the larger."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves never had {old_size}")
    if old_size in (0, size):
        return []
    return _subranges(0, size, old_size, whole=True)


def _subranges(low: int, high: int, old: int, *, whole: bool) -> list[tuple[int, int]]:
    """`old` is a leaf's number: where the smaller tree ends within `low` to `high`."""
    if old == high:
        return [] if whole else [(low, high)]
    split = low + _left_width(high - low)
    if old <= split:
        return [*_subranges(low, split, old, whole=whole), (split, high)]
    return [*_subranges(split, high, old, whole=False), (low, split)]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes showing that the tree of the first `old_size` leaves is a prefix of this one."""
    return [root_of(leaves[low:high]) for low, high in consistency_ranges(old_size, len(leaves))]


def consistent(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that nothing under `old_root` changed on the way to `root`."""
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old_size < size:
        return False
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    return bool(path) and _climb(old_size, size, path) == (old_root, root)


def _climb(old_size: int, size: int, path: list[bytes]) -> tuple[bytes, bytes] | None:
    """Both roots that the path leads to, or None when it has the wrong length."""
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return (old, new) if last == 0 else None


def _left_width(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
