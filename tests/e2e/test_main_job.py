"""The main job through the API, and that each proof of the demo can fail."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.cli.demo.api import Api
from services.cli.demo.compare import Content, content_of
from services.cli.demo.customer import SHOP
from services.cli.demo.story import Story
from tests.integration.executor.shop import SHOP as SHOP_SQL
from tests.support.platform import Installed, installed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


class Told:
    """The demo's story, told as far as the first restore."""

    def __init__(self, house: Installed, story: Story) -> None:
        self.house, self.story = house, story
        self.backup_id = self.other_id = ""
        self.source: Content

    async def execute(self, sql: str) -> None:
        """Change what was restored."""
        connection = await self.house.customer.database("restored").connect()
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    folder = tmp_path_factory.mktemp("p")
    async with installed(folder) as house:
        await house.load(SHOP, SHOP_SQL)
        told = Told(house, Story(house.platform, house.customer, house.api, folder))
        await told.story.register()
        told.backup_id, figures = await told.story.back_up()
        assert figures.raw_bytes > 100_000
        told.other_id, _ = await told.story.back_up()
        told.source = await content_of(house.customer.database(SHOP))
        await told.story.restore(told.backup_id, "restored")
        yield told


async def test_a_backup_restores_into_a_database_that_is_equal(told: Told) -> None:
    assert len(told.source.tables) == 4
    assert told.source.rows == 15_000
    assert await told.story.equal(told.source, "restored")


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        (
            """update "my shop".customers set credit = credit + 1 where id = 77;
               alter table "my shop".customers disable trigger touch""",
            """update "my shop".customers set credit = credit - 1, t = null where id = 77;
               alter table "my shop".customers enable trigger touch""",
        ),
        (
            'drop trigger touch on "my shop".customers',
            """create trigger touch before update on "my shop".customers
               for each row execute function "my shop".touched()""",
        ),
        (
            "insert into \"my shop\".orders values (1, 1, 'paid', '2024-05-05')",
            "delete from \"my shop\".orders where id = 1 and at = '2024-05-05'",
        ),
        (
            "select nextval('\"my shop\".numbers')",
            "select setval('\"my shop\".numbers', 1014)",
        ),
    ],
    ids=["one changed row", "one missing trigger", "one row too many", "one sequence further"],
)
async def test_the_demo_notices_a_restore_that_differs(told: Told, change: str, undo: str) -> None:
    await told.execute(change)
    noticed = not await told.story.equal(told.source, "restored")
    await told.execute(undo)

    assert noticed
    assert await told.story.equal(told.source, "restored")


async def test_the_demo_tells_a_good_archive_from_a_flipped_one(told: Told) -> None:
    assert await refuses_tampering(told, told.story.archive(told.backup_id))


async def test_the_demo_notices_a_volume_of_another_backup(told: Told, tmp_path: Path) -> None:
    archive, other = (told.story.archive(one) for one in (told.backup_id, told.other_id))
    copy = Path(shutil.copytree(archive, tmp_path / archive.parent.name / archive.name))
    accepted_before = await refuses_tampering(told, copy)
    (copy / "data.0").unlink()
    shutil.copy(other / "data.0", copy / "data.0")

    assert accepted_before
    assert not await refuses_tampering(told, copy)
    assert not await told.story.recovered(copy, told.source)


async def refuses_tampering(told: Told, archive: Path) -> bool:
    """The demo's flag for another archive."""
    shutil.rmtree(told.house.folder / "flipped", ignore_errors=True)
    return await told.story.tampered_archive_refused(archive)


async def test_the_archive_opens_without_the_platform(told: Told) -> None:
    assert await told.story.recovered(told.story.archive(told.backup_id), told.source)


class EditingApi(Api):
    """Somebody between the platform and us who edits one line of what is exported."""

    def __init__(self, api: Api) -> None:  # the session is the other client's
        self._api = api

    async def save(self, path: str, to: Any) -> None:
        await self._api.save(path, to)
        to.write_text(to.read_text().replace("backup.completed", "backup.cancelled", 1))


async def test_the_demo_notices_one_edited_line_of_the_audit_log(told: Told) -> None:
    requested = [
        one.seq
        for one in await told.house.messages()
        if one.subject.startswith("evt.restore.requested.")
    ]
    audit, refused = await told.story.audit()
    assert audit.verified
    assert refused
    assert audit.entries >= max(requested)  # such a request waits until a checkpoint covers it

    house = told.house
    edited = Story(house.platform, house.customer, EditingApi(house.api), house.folder)
    audit, _ = await edited.audit()

    assert not audit.verified
    assert audit.entries == 0
