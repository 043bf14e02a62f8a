"""Proofs from blocks: the same as RFC 6962 says, at every size around the blocks' borders."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import proofs
from services.gateway.proofs import Proofs
from shared.audit.merkle import leaf_hash
from tests.unit.audit import rfc6962


class Stored(Proofs):
    """Proofs over leaves in memory."""

    def __init__(self, entries: list[bytes]) -> None:
        super().__init__(read_model=None)  # type: ignore[arg-type]
        self.hashes = [leaf_hash(entry) for entry in entries]

    async def _leaves(self, low: int, high: int) -> list[bytes]:
        return self.hashes[low:high]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "BLOCK", 4)


def entries(size: int) -> list[bytes]:
    return [str(n).encode() for n in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64, 70])
async def test_inclusion_and_consistency_are_those_of_the_second_implementation(size: int) -> None:
    all_of_it = entries(size)
    stored, root = Stored(all_of_it), rfc6962.mth(all_of_it)

    for n in range(size):
        found = await stored.inclusion(n, size, root)
        assert found == (leaf_hash(all_of_it[n]), rfc6962.path(n, all_of_it))
    for old in range(1, size + 1):
        path = await stored.consistency(old, rfc6962.mth(all_of_it[:old]), size, root)
        assert path == rfc6962.proof(old, all_of_it)


@given(st.integers(1, 40), st.data())
async def test_a_changed_leaf_is_refused_and_a_healed_one_is_proved_again(
    size: int, data: Any
) -> None:
    all_of_it = entries(size)
    changed = data.draw(st.integers(0, size - 1))
    asked = data.draw(st.integers(0, size - 1))
    stored, root = Stored(all_of_it), rfc6962.mth(all_of_it)
    right, stored.hashes[changed] = stored.hashes[changed], bytes(32)

    with pytest.raises(proofs.ProofRefusedError):
        await stored.inclusion(asked, size, root)
    stored.hashes[changed] = right

    assert (await stored.inclusion(asked, size, root))[1] == rfc6962.path(asked, all_of_it)
