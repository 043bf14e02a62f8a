"""The main job through the API, and that each proof of the demo can fail."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from services.cli.demo.api import Api, CallRefusedError
from services.cli.demo.compare import Content, content_of
from services.cli.demo.customer import SHOP
from services.cli.demo.story import Story
from services.launcher.audit_key import rotate_audit_key
from shared.errors import PlatformError
from shared.keys.reading import read_signing_key
from shared.trace import HEADER
from tests.integration.executor.shop import SHOP as SHOP_SQL
from tests.support.collector import Collector, Span, collecting
from tests.support.platform import Installed, installed
from tests.support.receiver import receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


class Told:
    """The demo's story, told as far as the first restore."""

    def __init__(self, house: Installed, story: Story, collector: Collector) -> None:
        self.house, self.story, self.collector = house, story, collector
        self.backup_id = self.other_id = ""
        self.source: Content

    async def execute(self, sql: str) -> None:
        """Change what was restored."""
        connection = await self.house.customer.database("restored").connect()
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


async def notify_of_backups(api: Api, url: str) -> None:
    hook = {
        "kind": "webhook",
        "url": url,
        "secret": "whsec_" + base64.b64encode(b"s" * 32).decode(),
    }
    body = {"name": "outside", "channel": hook}
    channel = await api.post("/notifications/channels", body)
    facts = ["backup.completed", "backup.verified"]
    rule = {"name": "backups", "channel_id": channel["id"], "facts": facts}
    await api.post("/notifications/rules", rule)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    folder = tmp_path_factory.mktemp("p")
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        variables.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        variables.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        house = await stack.enter_async_context(installed(folder))
        await house.load(SHOP, SHOP_SQL)
        told = Told(house, Story(house.platform, house.customer, house.api, folder), collector)
        await told.story.register()
        hearing = await stack.enter_async_context(receiver())
        await notify_of_backups(house.api, hearing.url)
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


WORKED = {"gateway", "scheduler", "executor", "storage", "notifier", "retention"}
WAY = ["gateway", "scheduler", "executor", "storage", "notifier"]


def way(steps: list[Span], last: Span) -> list[str]:
    """The services from the first step to this one, each as often as in a row it worked."""
    by_id, names = {one.span_id: one for one in steps}, list[str]()
    at: Span | None = last
    while at is not None:
        names.append(at.service.removeprefix("holdfast-"))
        at = by_id.get(at.parent_id)
    return [name for name, _ in groupby(reversed(names))]


async def test_one_trace_leads_from_the_request_through_every_service_that_worked_on_it(
    told: Told,
) -> None:
    reader = told.house.platform.installation.database_url("reader").read_text()
    connection = await asyncpg.connect(reader.replace("+asyncpg", ""))
    rows = await connection.fetch(
        "SELECT subject, headers FROM event_log WHERE subject ~ $1",
        rf"evt\.(backup|run)\.(requested|dispatched|attempted|completed)\.core\.{told.backup_id}",
    )
    await connection.close()
    traces = {msgspec.json.decode(row["headers"])[HEADER][3:35] for row in rows}
    assert len(rows) >= 3
    assert len(traces) == 1
    (trace_id,) = traces
    steps = told.collector.traces[trace_id]

    async def whole() -> bool:
        services = {one.service.removeprefix("holdfast-") for one in steps}
        notes = [one for one in steps if one.name == "notify by webhook"]
        return services >= WORKED and len(notes) == 2

    await eventually(whole, within=20)
    assert "POST /api/v1/backups" in {one.name for one in steps}
    known = {one.span_id for one in steps}
    (first,) = [one for one in steps if one.name == "POST /api/v1/backups"]
    assert all(one.parent_id in known for one in steps if one is not first)
    # The note about the proof came of the reading, that of the dump, that of the order, ...
    assert any(way(steps, one) == WAY for one in steps if one.name == "notify by webhook")
    logs = told.house.platform.installation.home.log("gateway").read_text()
    assert f'"trace_id":"{trace_id}"' in logs


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


async def test_increments_store_what_changed_and_restore_to_what_was(told: Told) -> None:
    """An incremental and a differential build on the last backup and on its full, in any codec."""
    source, story = told.house.customer.database(SHOP), told.story
    connection = await source.connect()
    try:
        await connection.execute('update "my shop".customers set credit = credit + 5 where id < 9')
        first_id, first = await story.back_up(type="incremental", codec="gzip")
        expected = await content_of(source)
        await connection.execute('delete from "my shop".orders where id % 500 = 7')
        second_id, second = await story.back_up(type="differential", codec="lz4")
        after = await content_of(source)
    finally:
        await connection.close()
    full = await told.house.api.get(f"/backups/{told.backup_id}")
    made = [await told.house.api.get(f"/backups/{one}") for one in (first_id, second_id)]

    assert [one["type"] for one in made] == ["incremental", "differential"]
    assert {one["chain_id"] for one in made} == {told.other_id}
    assert {one["parent_id"] for one in made} == {told.other_id}
    assert all(0 < one["fresh_bytes"] < full["raw_bytes"] / 2 for one in made)
    assert first.stored_bytes < full["stored_bytes"]
    assert second.stored_bytes < full["stored_bytes"]
    await story.restore(first_id, "restored_first")
    await story.restore(second_id, "restored_second")
    assert await story.equal(expected, "restored_first")
    assert await story.equal(after, "restored_second")
    assert await story.recovered(story.archive(second_id), after, "increment_by_hand")
    read = await told.house.api.post(f"/backups/{second_id}/deep-verify", {})
    await told.house.api.ended(read["run_id"])
    tested = await told.house.api.post(f"/backups/{second_id}/test-restore", {})
    await told.house.api.ended(tested["run_id"])
    proven = await told.house.api.get(f"/backups/{second_id}")
    assert proven["deep_verified_at"]
    assert proven["deep_verify_s"] > 0
    assert proven["restore_tested_at"]
    assert proven["restore_test_s"] > 0
    assert proven["restore_test_problem"] is None


async def asked(told: Told, name: str, *checks: dict[str, Any]) -> dict[str, Any]:
    """A backup by a schedule with these checks, restored as a test, as its restore is shown."""
    api, known = told.house.api, await told.house.api.get(f"/backups/{told.backup_id}")
    schedule = {
        "name": name,
        "cron": "0 0 1 1 *",
        "database_ids": [known["database_id"]],
        "targets": [{"store_id": known["store_id"]}],
        "checks": list(checks),
    }
    made = await api.post("/schedules", schedule)
    (backup_id,) = (await api.post(f"/schedules/{made['id']}/run", {}))["backup_ids"]

    async def completed() -> bool:
        found = await api.get("/backups?limit=20&sort=-requested_at")
        return any(
            one["id"] == backup_id and one["status"] == "completed" for one in found["items"]
        )

    await eventually(completed, within=60)
    test = await api.post(f"/backups/{backup_id}/test-restore", {})
    with suppress(CallRefusedError):
        await api.ended(test["run_id"])
    backup = await api.get(f"/backups/{backup_id}")
    restore = await api.get(f"/restores/{test['id']}")
    assert backup["restore_test_checks"] == restore["checks"]
    assert backup["restore_test_problem"] == restore["problem"]
    return restore


async def test_a_restored_database_is_asked_what_its_schedule_wants_to_know(told: Told) -> None:
    many = {"name": "many", "query": 'select count(*) from "my shop".customers', "at_least": 9}
    wrong = {"name": "wrong", "query": "select 'two'", "expected": "three"}

    good = await asked(told, "asks", many)
    bad = await asked(told, "asks too much", many, wrong)

    assert (good["status"], [one["passed"] for one in good["checks"]]) == ("completed", [True])
    assert good["seconds"] > 0
    assert bad["status"] == "failed"
    assert [(one["name"], one["passed"]) for one in bad["checks"]] == [
        ("many", True),
        ("wrong", False),
    ]
    assert bad["problem"]["code"] == "restore.check_failed"
    assert bad["problem"]["cause"] == "1 of 2 checks failed: wrong: wanted = three, got two"


@pytest.mark.parametrize("how", ["verify", "deep-verify", "deep-verify of the increment"])
async def test_a_flipped_bit_in_a_full_blocks_its_chain_and_makes_the_next_backup_a_full(
    told: Told, how: str
) -> None:
    api, story = told.house.api, told.story
    full_id, _ = await story.back_up()
    increment_id, _ = await story.back_up(type="incremental")
    volume = story.archive(full_id) / "data.0"
    volume.chmod(0o600)
    content = bytearray(volume.read_bytes())
    content[len(content) // 2] ^= 1
    volume.write_bytes(content)

    verb, _, of_increment = how.partition(" ")
    run = await api.post(f"/backups/{increment_id if of_increment else full_id}/{verb}", {})
    with pytest.raises(PlatformError, match=r"the (verify|verification) failed"):
        await api.ended(run.get("run_id") or run["id"])
    found = await api.get(f"/backups/{full_id}")
    assert (found["proof"], found["problem"]["code"]) == ("corrupt", "archive.object_changed")
    broken = await api.get(f"/backups/{increment_id}")
    with pytest.raises(PlatformError, match="corrupt"):
        await story.restore(increment_id, "never")
    next_id, _ = await story.back_up(type="incremental")
    after = await api.get(f"/backups/{next_id}")

    assert broken["restorability"]["state"] == "broken"
    assert (after["type"], after["parent_id"], after["chain_id"]) == ("full", None, next_id)
    assert "broken" in after["full_because"]


async def test_archives_of_before_and_after_a_new_audit_key_restore_alike(told: Told) -> None:
    house, story = told.house, told.story
    keys = house.platform.installation.keys
    source = await content_of(house.customer.database(SHOP))
    await rotate_audit_key(house.platform, uuid4())
    before_id, _ = await story.back_up(type="incremental")  # by the certificate of before
    async with house.platform.paused(["executor"]):
        pass
    after_id, _ = await story.back_up(type="incremental")  # on a parent of before, by the new one

    await story.restore(told.backup_id, "restored_before")
    await story.restore(after_id, "restored_after")

    assert (await house.api.get(f"/backups/{after_id}"))["parent_id"] == before_id
    assert await story.equal(source, "restored_after")
    manifest = msgspec.json.decode((story.archive(after_id) / "manifest").read_bytes())
    new = read_signing_key(keys.audit_key).public.hex()
    assert manifest["certificate"]["platform_key"] == new


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
