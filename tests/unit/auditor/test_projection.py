"""The projection knows every message, and what it makes of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from services.auditor.projection import AUDIT_ONLY, PROJECTIONS, changes_of
from services.auditor.projection.change import Row
from services.auditor.rows import State, folded
from shared.messages.base import Message
from shared.messages.facts import (
    AnyFact,
    BackupCancelled,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupExpired,
    BackupFailed,
    BackupGarbageDeleted,
    BackupHeld,
    BackupReleased,
    BackupVerified,
    RunCancelRequested,
    ServerDiscovered,
    ServerHealthChanged,
)
from shared.messages.settings import (
    AnySetting,
    ClaimSetting,
    DatabaseSetting,
    ServerSetting,
    SettingRemoved,
)
from shared.messages.values import FoundDatabase, Health, Hold, HoldKind, Problem
from tests.unit.auditor.events import (
    START,
    attempted,
    backup_requested,
    backup_story,
    completed,
    server,
    shop,
)

PROBLEM = Problem(code="x", cause="y")


def tables_after(*messages: Message) -> dict[str, State]:
    """The tables after the messages, as a projection from nothing makes them."""
    tables: dict[str, State] = {}
    for seq, message in enumerate(messages, 1):
        for change in changes_of(message, seq):
            name = change.table.name
            tables[name] = folded(tables.get(name, {}), [change])
    return tables


def only(table: State) -> Row:
    (row,) = [row for row in table.values() if row is not None]
    return row


def backup_after(*messages: Message) -> Row:
    return only(tables_after(*messages)["backups"])


def run_after(*messages: Message) -> Row:
    return only(tables_after(*messages)["runs"])


def test_every_event_is_projected_or_only_audited() -> None:
    known = {*get_args(AnyFact), *get_args(AnySetting)}

    assert set(PROJECTIONS) | AUDIT_ONLY == known
    assert not set(PROJECTIONS) & AUDIT_ONLY


def test_a_backup_goes_from_requested_to_completed() -> None:
    story = backup_story()

    assert [backup_after(*story[:end])["status"] for end in (1, 3, 4)] == [
        *("requested", "running", "completed")
    ]
    assert [run_after(*story[:end])["status"] for end in (1, 2, 3, 4)] == [
        *("requested", "dispatched", "running", "completed")
    ]


def test_a_later_attempt_supersedes_and_an_earlier_one_does_not() -> None:
    request = backup_requested()
    second_first = [request, attempted(request, 2), attempted(request, 1)]

    assert backup_after(*second_first)["attempt"] == 2
    assert run_after(*second_first)["worker"] == "worker-2"
    attempts = tables_after(*second_first)["backup_attempts"]
    assert len(attempts) == 2


@pytest.mark.parametrize("end", [BackupFailed, BackupCancelled], ids=["failed", "cancelled"])
def test_the_first_end_of_a_run_is_its_end(end: Any) -> None:
    request = backup_requested()
    more = {"problem": PROBLEM} if end is BackupFailed else {}
    ended = end(backup_id=request.backup_id, run_id=request.run_id, attempt=1, **more)
    status = {"BackupFailed": "failed", "BackupCancelled": "cancelled"}[end.__name__]

    late = [request, attempted(request), ended, completed(request), attempted(request, 2)]

    assert backup_after(*late)["status"] == run_after(*late)["status"] == status


def test_proof_and_deletion_of_a_backup() -> None:
    story = backup_story()
    backup_id = story[0].backup_id  # type: ignore[attr-defined]  # the story begins with a request
    verified = BackupVerified(backup_id=backup_id, bytes_read=1, seconds=1)
    corrupted = BackupCorrupted(backup_id=backup_id, problem=PROBLEM)
    expired = BackupExpired(backup_id=backup_id, reason="policy")
    wanted = BackupDeleteRequested(backup_id=backup_id)
    deleted = BackupDeleted(backup_id=backup_id, freed_bytes=1)

    assert backup_after(*story, verified)["proof"] == "verified"
    assert backup_after(*story, verified, corrupted)["proof"] == "corrupt"
    assert backup_after(*story, expired)["status"] == "expired"
    assert backup_after(*story, expired, wanted)["status"] == "deleting"
    assert backup_after(*story, wanted, deleted, story[3], expired)["status"] == "deleted"
    assert backup_after(story[0], wanted)["status"] == "requested"


def test_the_last_fact_about_holds_tells_all_that_lie_on_a_backup() -> None:
    story = backup_story()
    hold = Hold(kind=HoldKind.LEGAL, reason="case 7", actor="ada", at=START)
    about: dict[str, Any] = {
        "backup_id": story[0].backup_id,  # type: ignore[attr-defined]  # as above
        "kind": HoldKind.LEGAL,
        "reason": "case 7",
    }
    held = backup_after(*story, BackupHeld(**about, holds=[hold]))

    assert held["holds"][0]["kind"] == "legal"
    assert held["taken_at"] == START
    assert backup_after(*story, BackupReleased(**about, holds=[]))["holds"] == []


def test_garbage_of_an_attempt_is_marked_as_gone() -> None:
    request = backup_requested()
    gone = BackupGarbageDeleted(backup_id=request.backup_id, attempt=1, freed_bytes=9)

    attempts = tables_after(request, attempted(request), gone)["backup_attempts"]

    assert only(attempts)["deleted_at"] == gone.at


def test_a_wish_to_cancel_is_kept_beside_the_status() -> None:
    request = backup_requested()
    wish = RunCancelRequested(run_id=request.run_id)

    run = run_after(request, attempted(request), wish)

    assert (run["status"], run["cancel_requested_at"]) == ("running", wish.at)


def test_a_setting_replaces_the_one_before_and_its_version_is_its_sequence() -> None:
    first, second = (
        server(),
        ServerSetting(key=server().key, name="two", runner={"kind": "local"}, endpoints=[]),
    )
    judged = ServerHealthChanged(
        server_id=shop().server_id, health=Health.HEALTHY, was=Health.UNKNOWN
    )

    row = only(tables_after(first, judged, second)["servers"])

    assert (row["name"], row["version"], row["health"]) == ("two", 3, "healthy")
    assert row["created_at"] == first.at
    assert row["updated_at"] == second.at


def test_a_removed_setting_is_gone() -> None:
    removed = SettingRemoved(key=server().key, of="server")

    assert tables_after(server(), removed)["servers"] == {(server().key,): None}


def test_a_claim_is_kept_whatever_it_claims() -> None:
    row = only(tables_after(ClaimSetting(key="hash", noun="server", holder="s1"))["claims"])

    assert (row["noun"], row["holder"]) == ("server", "s1")


def test_databases_come_from_requests_and_discoveries_and_keep_their_policy() -> None:
    decided = DatabaseSetting(key=str(shop().id), policy_id="p1", tags=["gold"])
    found = ServerDiscovered(
        server_id=shop().server_id,
        run_id=shop().server_id,
        databases=[FoundDatabase(endpoint="main", name="shop", size_bytes=9)],
    )

    row = only(tables_after(backup_requested(), decided, found)["databases"])

    assert (row["policy_id"], row["size_bytes"], row["version"]) == ("p1", 9, 2)


@pytest.mark.parametrize("kind", list(PROJECTIONS), ids=lambda kind: kind.__name__)
def test_every_event_may_come_first(kind: type[Message]) -> None:
    message = _example(kind)

    for change in changes_of(message, 1):
        change.fold(None)


def _example(kind: type[Message]) -> Message:
    """Any message of the class, made from the types of its fields."""
    import msgspec

    samples: dict[str, Any] = {
        **dict.fromkeys(("backup_id", "run_id", "restore_id", "server_id"), shop().server_id),
        **dict.fromkeys(
            ("order_id", "notification_id", "fact_id", "archive_id", "redelivery_id"),
            shop().server_id,
        ),
        **dict.fromkeys(("attempt", "bytes_read", "freed_bytes", "raw_bytes", "tries"), 1),
        **dict.fromkeys(("stored_bytes", "minutes", "version", "rpo_s", "envelope"), 1),
        "database_id": shop().server_id,
        "execution_id": shop().server_id,
        "command_version": 1,
        "rights": [],
        "recipients": [],
        **{key: {"key": "k", "token": "t"} for key in ("name", "email", "password_hash")},
        **{
            key: {"server_id": shop().server_id, "endpoint": "e", "name": "n"}
            for key in ("database", "target")
        },
        **{key: {"kind": "x"} for key in ("runner", "store", "channel")},
        **{key: [] for key in ("tables", "endpoints", "facts", "targets", "holds")},
        **({"kind": "hold"} if "Held" in kind.__name__ or "Released" in kind.__name__ else {}),
        "seconds": 1.0,
        **dict.fromkeys(("started_at", "slot"), "2026-01-01T00:00:00Z"),
        "problem": {"code": "c", "cause": "d"},
        "archive": msgspec.to_builtins(completed(backup_requested()).archive),
        "health": "healthy",
        "was": "unknown",
        "role": "admin",
        "keep_last": 1,
        "of": "server",
    }
    fields = [field for field in msgspec.structs.fields(kind) if field.required]
    values = {field.encode_name: samples.get(field.name, "text") for field in fields}
    if kind.__name__ != "UserSetting" and "name" in values:
        values["name"] = "text"
    return msgspec.convert(values | {"type": kind.__struct_config__.tag}, kind)
