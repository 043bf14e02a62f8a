"""In which order an attempt's objects go, and what counts as freed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from services.storage.deletion import clear
from shared.stores.base import ObjectInfo, StoreUnreachableError
from shared.stores.local import Local
from tests.unit.storage.builders import local, names, put, write_archive


class Failing:
    """A local store that is gone after so many deletions."""

    def __init__(self, store: Local, deletions: int) -> None:
        self._store, self._left = store, deletions
        self.deleted: list[str] = []

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        return self._store.list(prefix)

    async def delete(self, key: str) -> None:
        if not self._left:
            raise StoreUnreachableError("the store does not answer")
        self._left -= 1
        self.deleted.append(key.rsplit("/", 1)[-1])
        await self._store.delete(key)

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        return await self._store.abort_uploads(prefix, older_than)


async def test_the_manifest_goes_first(tmp_path: Path) -> None:
    backup_id = uuid4()
    await write_archive(local(tmp_path), backup_id, 1)
    store = Failing(local(tmp_path), 99)

    await clear(store, f"{backup_id}/1")  # type: ignore[arg-type]  # the part of a store it needs

    assert store.deleted[0] == "manifest"
    assert len(store.deleted) == 5


@pytest.mark.parametrize("deletions", range(6))
async def test_wherever_it_is_cut_the_bytes_add_up(tmp_path: Path, deletions: int) -> None:
    backup_id = uuid4()
    facts = await write_archive(local(tmp_path), backup_id, 1)
    folder = f"{backup_id}/1"
    failing = Failing(local(tmp_path), deletions)

    if deletions < 5:
        with pytest.raises(StoreUnreachableError):
            await clear(failing, folder, facts.objects)  # type: ignore[arg-type]  # as above
    freed = await clear(local(tmp_path), folder, facts.objects)

    assert freed == facts.stored_bytes
    assert await names(local(tmp_path)) == set()


async def test_an_object_that_was_lost_before_is_not_counted(tmp_path: Path) -> None:
    backup_id = uuid4()
    facts = await write_archive(local(tmp_path), backup_id, 1)
    await local(tmp_path).delete(f"{backup_id}/1/index")

    freed = await clear(local(tmp_path), f"{backup_id}/1", facts.objects)

    assert freed == facts.stored_bytes - 700


async def test_only_the_folder_itself_is_cleared(tmp_path: Path) -> None:
    backup_id = uuid4()
    for number in ("1", "10", "11"):
        await put(local(tmp_path), f"{backup_id}/{number}/data.0", b"x")

    assert await clear(local(tmp_path), f"{backup_id}/1") == 1

    assert await names(local(tmp_path)) == {f"{backup_id}/{n}/data.0" for n in ("10", "11")}
