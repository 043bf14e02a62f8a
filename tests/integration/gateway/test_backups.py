"""Backups, restores and runs through the API; a fact stands for what other services do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from shared.bus.base import EVENTS
from shared.messages.facts import (
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRequested,
    BackupAttempted,
    BackupCompleted,
    BackupCorrupted,
    BackupDeletionBegun,
    BackupExpired,
    RunCancelRequested,
    ServerDiscovered,
    ServerTested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.output import OutputLine
from shared.messages.values import BackupType, FoundDatabase, Problem, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.support.archives import archive_facts
from tests.support.waiting import eventually


@pytest.fixture
async def wish(gateway: Gateway, tmp_path: Path) -> dict[str, Any]:
    """The body that asks for a backup of a registered server's database."""
    server = await gateway.add_server()
    store = await gateway.add_store(tmp_path)
    database = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    return {"database": database, "store_id": store["id"]}


async def test_a_backup_is_accepted_and_its_run_can_be_read(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    answer = await gateway.call("POST", "/backups", wish)

    assert answer.status_code == 202
    assert answer.json()["status"] == "requested"
    run = await gateway.client.get(answer.headers["location"])
    assert run.json()["object_id"] == answer.json()["id"]
    assert (await gateway.call("GET", "/backups")).json()["items"] == [answer.json()]


@pytest.mark.parametrize(
    ("place", "value", "pointer"),
    [
        ("store_id", "nowhere", "/store_id"),
        ("endpoint", "other", "/database/endpoint"),
        ("server_id", "01a20a6c-b075-7627-a814-ed1a7813be83", "/database/server_id"),
    ],
)
async def test_what_a_backup_points_at_must_exist(
    gateway: Gateway, wish: dict[str, Any], place: str, value: str, pointer: str
) -> None:
    part = wish if place == "store_id" else wish["database"]
    part[place] = value

    answer = await gateway.call("POST", "/backups", wish)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_one_key_is_one_backup_across_a_restart_and_after_the_answer_is_forgotten(
    platform: Platform, gateway: Gateway, wish: dict[str, Any]
) -> None:
    first = await gateway.call("POST", "/backups", wish, idempotency_key="night-1")
    async with platform.gateway() as restarted:
        restarted.client.headers["authorization"] = gateway.client.headers["authorization"]
        second = await restarted.call("POST", "/backups", wish, idempotency_key="night-1")
        for key in await platform.bus.kv("idempotency").keys():
            await platform.bus.kv("idempotency").delete(key)
        third = await restarted.call("POST", "/backups", wish, idempotency_key="night-1")

    assert [a.status_code for a in (first, second, third)] == [202, 202, 202]
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert third.json()["id"] == first.json()["id"]
    assert third.headers["location"] == first.headers["location"]
    assert len(await platform.bus.last_of("evt.backup.requested.>")) == 1


async def test_one_key_sent_twice_at_once_is_one_backup(
    platform: Platform, gateway: Gateway, wish: dict[str, Any]
) -> None:
    answers = await asyncio.gather(
        *(gateway.call("POST", "/backups", wish, idempotency_key="twice") for _ in range(4))
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await platform.bus.last_of("evt.backup.requested.>")) == 1


async def test_one_key_for_another_request_is_refused_also_when_the_answer_is_forgotten(
    platform: Platform, gateway: Gateway, wish: dict[str, Any]
) -> None:
    await gateway.call("POST", "/backups", wish, idempotency_key="k")
    other = {**wish, "note": "something else"}

    remembered = await gateway.call("POST", "/backups", other, idempotency_key="k")
    for key in await platform.bus.kv("idempotency").keys():
        await platform.bus.kv("idempotency").delete(key)
    forgotten = await gateway.call("POST", "/backups", other, idempotency_key="k")

    assert (remembered.status_code, forgotten.status_code) == (422, 422)
    assert forgotten.json()["code"] == "idempotency.reused"


async def test_one_key_of_two_accounts_is_two_backups(
    platform: Platform, gateway: Gateway, wish: dict[str, Any]
) -> None:
    first = await gateway.call("POST", "/backups", wish, idempotency_key="k")
    await sign_in_as(gateway, Role.OPERATOR)
    second = await gateway.call("POST", "/backups", wish, idempotency_key="k")

    assert first.json()["id"] != second.json()["id"]
    assert len(await platform.bus.last_of("evt.backup.requested.>")) == 2


async def test_a_store_created_twice_with_one_key_is_one_store(
    gateway: Gateway, tmp_path: Path
) -> None:
    body = {"name": "cellar", "store": {"kind": "local", "root": str(tmp_path)}}

    answers = await asyncio.gather(
        *(gateway.call("POST", "/stores", body, idempotency_key="k") for _ in range(3))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_backup_asked_for_while_the_projection_stands_is_accepted(
    platform: Platform, gateway: Gateway, wish: dict[str, Any]
) -> None:
    platform.projecting.clear()

    late = await gateway.call("POST", "/backups", wish, idempotency_key="late")

    platform.projecting.set()
    assert late.status_code == 202
    location = late.headers["location"]
    run = await _soon(gateway, location)
    assert run["object_id"] == late.json()["id"]


async def test_lists_are_filtered_and_paged_newest_first(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    made = [(await gateway.call("POST", "/backups", wish)).json()["id"] for _ in range(3)]
    await completed(gateway, made[0])

    first = (await gateway.call("GET", "/backups?limit=2")).json()
    second = (await gateway.call("GET", f"/backups?cursor={first['next_cursor']}")).json()
    done = (await gateway.call("GET", "/backups?status=completed")).json()
    oldest = (await gateway.call("GET", "/backups?sort=requested_at")).json()
    wrong = await gateway.call("GET", "/backups?status=nonsense")

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert [item["id"] for item in done["items"]] == made[:1]
    assert [item["id"] for item in oldest["items"]] == made
    assert wrong.status_code == 400


async def test_a_restore_needs_a_good_backup(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    target = {"target": {**wish["database"], "name": "shop_again"}, "reason": "a drill"}
    path = f"/backups/{backup['id']}/restore"

    early = await gateway.call("POST", path, target)
    await completed(gateway, backup["id"])
    good = await gateway.call("POST", path, target, idempotency_key="r")
    again = await gateway.call("POST", path, target, idempotency_key="r")
    problem = Problem(code="archive.damaged", cause="one object has another hash")
    await projected(gateway, BackupCorrupted(backup_id=UUID(backup["id"]), problem=problem))
    corrupt = await gateway.call("POST", path, target)

    assert early.json()["code"] == "backup.not_restorable"
    assert good.status_code == 202
    assert good.json()["reason"] == "a drill"
    assert again.content == good.content
    assert corrupt.json()["code"] == "backup.not_restorable"
    assert len(await platform.bus.last_of("evt.restore.requested.>")) == 1


async def test_an_expired_backup_is_not_restored(gateway: Gateway, wish: dict[str, Any]) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, backup["id"])
    await projected(gateway, BackupExpired(backup_id=UUID(backup["id"]), reason="policy"))

    answer = await gateway.call(
        "POST", f"/backups/{backup['id']}/restore", {"target": wish["database"]}
    )

    assert answer.json()["code"] == "backup.not_restorable"


async def test_a_finished_backup_can_be_deleted_once_and_a_running_one_not(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    path = f"/backups/{backup['id']}"

    early = await gateway.call("DELETE", path)
    await completed(gateway, backup["id"])
    first = await gateway.call("DELETE", path)
    second = await gateway.call("DELETE", path)

    assert early.json()["code"] == "backup.running"
    assert (first.status_code, second.status_code) == (202, 202)
    assert len(await platform.bus.last_of("evt.backup.delete_requested.>")) == 1


async def test_a_deletion_can_be_taken_back_until_it_has_begun(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    path = f"/backups/{backup['id']}"
    await completed(gateway, backup["id"])

    unasked = await gateway.call("POST", f"{path}/undelete")
    await gateway.call("DELETE", path)
    doomed = (await gateway.call("GET", path)).json()
    back = await gateway.call("POST", f"{path}/undelete")
    kept = (await gateway.call("GET", path)).json()
    await gateway.call("DELETE", path)
    await platform.bus.append(BackupDeletionBegun(backup_id=UUID(backup["id"])))
    late = await gateway.call("POST", f"{path}/undelete")

    assert (unasked.status_code, back.status_code) == (409, 202)
    assert doomed["status"] == "deleting"
    assert doomed["delete_after"] > doomed["completed_at"]
    assert (kept["status"], kept["delete_after"]) == ("completed", None)
    assert late.json()["code"] == "backup.deletion_begun"


async def test_what_a_policy_let_expire_comes_back_only_under_a_hold(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    path = f"/backups/{backup['id']}"
    await completed(gateway, backup["id"])
    until = datetime.now(UTC) + timedelta(days=1)
    fact = BackupExpired(backup_id=UUID(backup["id"]), reason="a policy", delete_after=until)
    await projected(gateway, fact)

    free = await gateway.call("POST", f"{path}/undelete")
    hold = await gateway.call("POST", f"{path}/hold", {"reason": "still needed"})
    held = await gateway.call("POST", f"{path}/undelete")
    shown = (await gateway.call("GET", path)).json()

    assert free.json()["code"] == "backup.expires_again"
    assert hold.status_code == 200
    assert held.status_code == 202
    assert (shown["status"], shown["delete_after"]) == ("completed", None)


async def test_a_run_is_cancelled_on_its_own_pool_until_it_ends(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    path = f"/runs/{backup['run_id']}/cancel"

    first = await gateway.call("POST", path)
    await gateway.call("POST", path)
    await completed(gateway, backup["id"])
    late = await gateway.call("POST", path)

    [asked] = await platform.bus.last_of(f"evt.run.cancel_requested.core.{backup['run_id']}")
    assert first.status_code == 202
    assert isinstance(asked.message, RunCancelRequested)
    assert late.json()["code"] == "run.ended"


async def test_a_runs_log_is_read_line_by_line_and_gone_when_it_expired(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    backup = (await gateway.call("POST", "/backups", wish)).json()
    path = f"/runs/{backup['run_id']}/log"
    empty = await gateway.call("GET", path)
    for number in range(3):
        line = OutputLine(
            run_id=UUID(backup["run_id"]), attempt=1, level="info", text=f"line {number}"
        )
        await platform.bus.say(line)
    await platform.bus.say(OutputLine(run_id=uuid4(), attempt=1, level="info", text="another's"))

    async with asyncio.timeout(5):
        full = await gateway.call("GET", path)
    other = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, other["id"])
    gone = await gateway.call("GET", f"/runs/{other['run_id']}/log")

    assert (empty.status_code, empty.text) == (200, "")
    lines = [msgspec.json.decode(line) for line in full.text.splitlines()]
    assert [line["text"] for line in lines] == ["line 0", "line 1", "line 2"]
    assert (gone.status_code, gone.json()["code"]) == (410, "run.log_expired")


async def test_a_connection_test_waits_for_the_workers_answer(
    gateway: Gateway, platform: Platform
) -> None:
    server = await gateway.add_server()
    answering = asyncio.create_task(_answer_next(platform, "server.test_requested"))

    answer = await gateway.call("POST", f"/servers/{server['id']}/test-connection")

    await answering
    assert answer.status_code == 200
    assert answer.json()["versions"] == {"main": "16.14"}


async def test_a_discovery_lists_databases_and_they_can_get_a_policy(
    gateway: Gateway, platform: Platform
) -> None:
    server = await gateway.add_server()
    policy = await gateway.add("/policies", {"name": "three", "keep_last": 3})
    answering = asyncio.create_task(_answer_next(platform, "server.discovery_requested"))

    found = (await gateway.call("GET", f"/servers/{server['id']}/databases")).json()

    await answering
    path = f"/databases/{found['databases'][0]['id']}"
    known = await _soon(gateway, f"/api/v1{path}")
    changed = await gateway.call(
        "PUT", path, {"policy_id": policy["id"]}, if_match=f'"{known["version"]}"'
    )
    in_use = await gateway.call(
        "DELETE", f"/policies/{policy['id']}", if_match=f'"{policy["version"]}"'
    )
    assert changed.json()["policy_id"] == policy["id"]
    assert in_use.json()["code"] == "in_use"

    await sign_in_as(gateway, Role.OPERATOR)
    version = f'"{changed.json()["version"]}"'
    freed = await gateway.call("PUT", path, {"policy_id": None}, if_match=version)
    tagged = await gateway.call(
        "PUT", path, {"policy_id": policy["id"], "tags": ["shop"]}, if_match=version
    )
    assert (freed.status_code, freed.json()["code"]) == (403, "auth.forbidden")
    assert tagged.json()["tags"] == ["shop"]


async def test_a_store_that_holds_backups_stays_at_its_place(
    gateway: Gateway, wish: dict[str, Any], tmp_path: Path
) -> None:
    store = (await gateway.call("GET", f"/stores/{wish['store_id']}")).json()
    path, elsewhere = f"/stores/{store['id']}", {"kind": "local", "root": str(tmp_path / "other")}

    async def put(version: int, **body: Any) -> Any:
        return await gateway.call("PUT", path, {"name": "s", **body}, if_match=f'"{version}"')

    moved = await put(store["version"], store=elsewhere)
    assert moved.status_code == 200
    await gateway.call("POST", "/backups", wish)
    refused = await put(moved.json()["version"], store=store["store"])
    renamed = await put(moved.json()["version"], store=elsewhere, tier="cold")

    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert renamed.json()["tier"] == "cold"


async def test_what_others_build_on_is_not_deleted_and_a_chain_goes_from_its_end(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    full = (await gateway.call("POST", "/backups", wish)).json()["id"]
    await completed(gateway, full)
    wanted = {**wish, "type": "incremental", "codec": "lz4"}
    increment = (await gateway.call("POST", "/backups", wanted)).json()["id"]
    while_running = await gateway.call("DELETE", f"/backups/{full}")
    await completed(gateway, increment, parent=full)

    shown = (await gateway.call("GET", f"/backups/{increment}")).json()
    chain = (await gateway.call("GET", f"/backups?chain_id={full}")).json()["items"]
    needed = await gateway.call("DELETE", f"/backups/{full}")
    last = await gateway.call("DELETE", f"/backups/{increment}")
    first = await gateway.call("DELETE", f"/backups/{full}")
    orphaned = await gateway.call("POST", f"/backups/{increment}/undelete")
    kept = [await gateway.call("POST", f"/backups/{one}/undelete") for one in (full, increment)]

    assert while_running.json()["code"] == "backup.running"
    assert (shown["type"], shown["parent_id"], shown["chain_id"]) == ("incremental", full, full)
    assert shown["restorability"]["state"] == "unproven"
    assert [one["id"] for one in chain] == [increment, full]
    assert (needed.status_code, needed.json()["code"]) == (409, "backup.needed")
    assert (last.status_code, first.status_code) == (202, 202)
    assert orphaned.json()["code"] == "backup.parent_gone"
    assert [answer.status_code for answer in kept] == [202, 202]


async def test_a_full_stays_while_an_increment_lives_on_in_a_further_store(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    full = (await gateway.call("POST", "/backups", wish)).json()["id"]
    await completed(gateway, full)
    wanted = {**wish, "type": "incremental"}
    increment = (await gateway.call("POST", "/backups", wanted)).json()["id"]
    await completed(gateway, increment, parent=full)
    copy: dict[str, Any] = {
        "archive_id": archive_id(UUID(increment), "far"),
        "backup_id": UUID(increment),
        "store_id": "far",
    }
    await projected(gateway, ArchiveRequested(**copy))
    stored = ArchiveReplicated(**copy, prefix="x", stored_bytes=1, seconds=0.1)
    await projected(gateway, stored)
    await projected(gateway, BackupExpired(backup_id=UUID(increment), reason="a policy"))

    needed = await gateway.call("DELETE", f"/backups/{full}")
    await projected(gateway, ArchiveExpired(**copy, reason="a policy"))
    free = await gateway.call("DELETE", f"/backups/{full}")

    assert (needed.status_code, needed.json()["code"]) == (409, "backup.needed")
    assert free.status_code == 202


async def test_a_backup_whose_full_was_found_corrupt_is_shown_as_broken(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    full, increment = [
        (await gateway.call("POST", "/backups", wish)).json()["id"] for _ in range(2)
    ]
    await completed(gateway, full)
    await completed(gateway, increment, parent=full)
    problem = Problem(code="archive.object_changed", cause="a bit is flipped")
    await projected(gateway, BackupCorrupted(backup_id=UUID(full), problem=problem))

    shown = (await gateway.call("GET", f"/backups/{increment}")).json()
    listed = (await gateway.call("GET", f"/backups?chain_id={full}")).json()["items"]

    assert [one["restorability"]["state"] for one in listed] == ["broken", "broken"]
    assert shown["restorability"]["state"] == "broken"
    assert full in shown["restorability"]["reason"]


async def completed(gateway: Gateway, backup_id: str, parent: str | None = None) -> None:
    """What an executor says about a backup that went well, as an increment of `parent`."""
    run_id = UUID((await gateway.call("GET", f"/backups/{backup_id}")).json()["run_id"])
    prefix = f"{backup_id}/1/"
    await projected(
        gateway,
        BackupAttempted(
            backup_id=UUID(backup_id),
            run_id=run_id,
            attempt=1,
            worker="w",
            store_id="s",
            prefix=prefix,
        ),
    )
    at = datetime.now(UTC)
    archive = archive_facts(
        raw_bytes=10,
        stored_bytes=5,
        manifest_sha256="0" * 64,
        tool_version="16.14",
        server_version="16.14",
        taken_at=at,
    )
    await projected(
        gateway,
        BackupCompleted(
            backup_id=UUID(backup_id),
            run_id=run_id,
            attempt=1,
            prefix=prefix,
            started_at=at,
            seconds=1.0,
            archive=archive,
            type_made=BackupType.INCREMENTAL if parent else BackupType.FULL,
            chain_id=UUID(parent or backup_id),
            parent_id=UUID(parent) if parent else None,
        ),
    )


async def projected(gateway: Gateway, fact: Any) -> None:
    await gateway.deps.read_model.at_least((await gateway.deps.bus.append(fact)).seq)


async def _soon(gateway: Gateway, location: str) -> dict[str, Any]:
    """What stands there as soon as the projection has it."""

    async def found() -> dict[str, Any]:
        answer = await gateway.client.get(location)
        assert answer.status_code == 200, answer.text
        thing: dict[str, Any] = answer.json()
        return thing

    return await eventually(found)


async def _answer_next(platform: Platform, asked: str) -> None:
    """What a worker does with the next question."""
    async for delivery in platform.bus.follow(EVENTS, after_seq=0, filters=(f"evt.{asked}.>",)):
        question: Any = delivery.message
        said = {"server_id": question.server_id, "run_id": question.run_id}
        if asked == "server.test_requested":
            await platform.bus.append(ServerTested(**said, versions={"main": "16.14"}))
        else:
            found = [FoundDatabase(endpoint="main", name="shop", size_bytes=7)]
            await platform.bus.append(ServerDiscovered(**said, databases=found))
        return
