"""The tree against a second implementation: RFC 6962's own recursive definitions."""

from __future__ import annotations

from hashlib import sha256

import pytest

from shared.audit.merkle import (
    Tree,
    consistency_proof,
    consistent,
    includes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)

SIZES = [*range(1, 34), 63, 64, 65, 100, 127, 128, 129]
ALL_SIZES = range(1, 301)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(count)]


def split_of(count: int) -> int:
    split = 1
    while split * 2 < count:
        split *= 2
    return split


def plain_root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = split_of(len(hashes))
    left, right = plain_root(hashes[:split]), plain_root(hashes[split:])
    return sha256(b"\1" + left + right).digest()


def plain_path(index: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    split = split_of(len(hashes))
    if index < split:
        return [*plain_path(index, hashes[:split]), plain_root(hashes[split:])]
    return [*plain_path(index - split, hashes[split:]), plain_root(hashes[:split])]


def test_hashes_of_known_trees() -> None:
    # The test vectors of RFC 6962's first implementation.
    inputs = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43"]
    hashes = [leaf_hash(one) for one in inputs]

    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hashes[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(hashes[:2]).hex() == (
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )
    assert root_of(hashes[:6]).hex() == (
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_that_grows_has_the_roots_of_the_definition(size: int) -> None:
    hashes, tree = leaves(size), Tree()
    for count, one in enumerate(hashes, 1):
        tree = Tree(tree.size, tree.edge)  # as it is stored and read back
        tree.append(one)

        assert tree.size == count
    assert tree.root() == plain_root(hashes) == root_of(hashes)


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proven_and_only_at_its_place(size: int) -> None:
    _check_inclusion(size)


@pytest.mark.parametrize("size", SIZES)
def test_every_earlier_tree_is_proven_to_be_a_prefix(size: int) -> None:
    _check_consistency(size)


@pytest.mark.soak
@pytest.mark.parametrize("size", ALL_SIZES)
def test_all_proofs_of_all_sizes(size: int) -> None:
    _check_inclusion(size)
    _check_consistency(size)


def _check_inclusion(size: int) -> None:
    hashes = leaves(size)
    root = plain_root(hashes)
    for index, one in enumerate(hashes):
        proof = inclusion_proof(hashes, index)

        assert proof == plain_path(index, hashes)
        assert includes(one, index, size, proof, root)
        assert not includes(one, index, size, [*proof, one], root)
        assert not includes(leaf_hash(b"another"), index, size, proof, root)
        if size > 1:
            assert not includes(one, (index + 1) % size, size, proof, root)
            assert not includes(one, index, size, proof[:-1], root)


def _check_consistency(size: int) -> None:
    hashes = leaves(size)
    root = plain_root(hashes)
    for old in range(size + 1):
        old_root, proof = plain_root(hashes[:old]), consistency_proof(hashes, old)

        assert consistent(old, old_root, size, root, proof)
        if old:  # every tree begins as the empty one
            assert not consistent(old, old_root, size, node_hash(root, root), proof)
        if 0 < old < size:
            assert not consistent(old, node_hash(root, root), size, root, proof)
            assert not consistent(old, old_root, size, root, proof[:-1])
            assert not consistent(old, old_root, size, root, [*proof, root])


def test_an_edge_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="edge"):
        Tree(3, bytes(32))
