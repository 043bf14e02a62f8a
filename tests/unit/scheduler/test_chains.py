"""What an increment builds on, and what a restore reads, in every state a chain can be in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.scheduler.chains import (
    AT_LIMIT,
    BROKEN,
    NO_FULL,
    OTHER_METHOD,
    Archived,
    parent_of,
    restorable,
)
from services.scheduler.errors import NotRestorableError
from shared.messages.values import BackupType
from tests.support.archives import archive_facts

FACTS = archive_facts(
    manifest_sha256="ab",
    tool_version="16.4",
    server_version="16.4",
    taken_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def backup(number: int, parent: int | None = None, **changes: Any) -> Archived:
    """Number n of the chain of number 0."""
    one = Archived(
        id=UUID(int=number),
        status="completed",
        proof="verified",
        store_id="hot",
        prefix=f"{UUID(int=number)}/1",
        endpoint="main",
        server_id=UUID(int=99),
        archive=FACTS,
        parent_id=None if parent is None else UUID(int=parent),
        chain_id=UUID(int=0),
    )
    return msgspec.structs.replace(one, **changes)


def chain(**changes: dict[str, Any]) -> list[Archived]:
    """A full and two increments, the newest first; changes by `full`, `first`, `second`."""
    return [
        backup(2, 1, **changes.get("second", {})),
        backup(1, 0, **changes.get("first", {})),
        backup(0, **changes.get("full", {})),
    ]


def parents(
    standing: list[Archived], wanted: BackupType = BackupType.INCREMENTAL, limit: int = 30
) -> list[int] | str:
    found = parent_of(standing, store_id="hot", wanted=wanted, method="logical", limit=limit)
    return found if isinstance(found, str) else [part.backup_id.int for part in found]


def test_an_incremental_builds_on_the_last_backup_and_a_differential_on_the_full() -> None:
    assert parents(chain()) == [2, 1, 0]
    assert parents(chain(), BackupType.DIFFERENTIAL) == [0]
    assert parents([backup(0)]) == [0]


def test_after_the_longest_chain_that_is_allowed_comes_a_full() -> None:
    assert parents(chain(), limit=3) == AT_LIMIT
    assert parents(chain(), BackupType.DIFFERENTIAL, limit=3) == AT_LIMIT
    assert parents(chain(), limit=4) == [2, 1, 0]


def test_without_a_backup_in_the_store_there_is_nothing_to_build_on() -> None:
    assert parents([]) == NO_FULL
    assert parents([backup(0, store_id="cold")]) == NO_FULL
    assert parents([backup(0, method="physical")]) == OTHER_METHOD


@pytest.mark.parametrize("which", ["full", "first", "second"])
@pytest.mark.parametrize(
    "change",
    [
        {"proof": "corrupt"},
        {"status": "expired"},
        {"status": "deleted"},
        {"deletion_wanted": True},
        {"prefix": None},
        {"archive": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_broken_chain_is_never_built_on(which: str, change: dict[str, Any]) -> None:
    found = parents(chain(**{which: change}))

    assert isinstance(found, str)
    assert found in {BROKEN, NO_FULL}


def test_a_chain_that_moved_to_another_store_is_not_built_on() -> None:
    assert parents([backup(1, 0), backup(0, store_id="cold")]) == BROKEN


def test_backups_that_name_each_other_are_not_built_on() -> None:
    assert parents([backup(1, 2), backup(2, 1)]) == BROKEN


def read(which: int, standing: list[Archived], store_id: str | None = None) -> list[Any]:
    others = {one.id: one for one in standing}
    parts = restorable(others.get(UUID(int=which)), others, store_id)
    return [(part.backup_id.int, part.store_id) for part in parts]


def test_a_restore_reads_the_whole_line_down_to_the_full() -> None:
    assert read(2, chain()) == [(2, "hot"), (1, "hot"), (0, "hot")]
    assert read(0, chain()) == [(0, "hot")]


def test_what_is_gone_here_is_read_from_a_copy_and_beside_the_backup_if_possible() -> None:
    copies = [("cold", "c/1"), ("vault", "v/1")]
    gone = {"status": "expired", "copies": copies}

    assert read(2, chain(full=gone)) == [(2, "hot"), (1, "hot"), (0, "cold")]
    there = chain(full={"copies": copies}, first={"copies": copies}, second={"copies": copies})
    assert read(2, there, "vault") == [(2, "vault"), (1, "vault"), (0, "vault")]
    moved = chain(second={"copies": copies})
    assert read(2, moved, "cold") == [(2, "cold"), (1, "hot"), (0, "hot")]


@pytest.mark.parametrize(
    "change", [{"proof": "corrupt"}, {"status": "deleted"}, {"status": "expired"}]
)
def test_without_one_of_its_parents_nothing_is_restored(change: dict[str, Any]) -> None:
    with pytest.raises(NotRestorableError, match="builds on"):
        read(2, chain(full=change))
    with pytest.raises(NotRestorableError, match="builds on"):
        read(2, chain(first=change))
    with pytest.raises(NotRestorableError, match="builds on"):
        read(2, chain()[:2])


def test_a_circle_is_not_restored() -> None:
    with pytest.raises(NotRestorableError):
        read(1, [backup(1, 2), backup(2, 1)])
