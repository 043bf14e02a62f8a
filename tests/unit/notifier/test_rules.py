"""Which channel hears which fact, when it is tried again, and in which words."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.rules import matches, wants
from services.notifier.schedule import DELAYS_S, PATIENCE_S, TRIES, wait_s
from services.notifier.wording import note
from shared.keys.sealed import Sealed
from shared.messages.base import now
from shared.messages.facts import BackupCompleted, BackupFailed, BackupRequested, UserSignedIn
from shared.messages.settings import RuleSetting
from shared.messages.values import ArchiveFacts, DatabaseRef, Problem, StoredObject


def make_rule(*facts: str, channel_id: str = "one", enabled: bool = True) -> RuleSetting:
    return RuleSetting(
        key="rule", name="a rule", channel_id=channel_id, facts=[*facts], enabled=enabled
    )


@pytest.mark.parametrize(
    ("pattern", "fact_type", "heard"),
    [
        ("backup.failed", "backup.failed", True),
        ("backup.failed", "backup.failed_again", False),
        ("backup.*", "backup.garbage_deleted", True),
        ("backup.*", "backups.failed", False),
        ("*", "backup.failed", False),
    ],
)
def test_a_pattern_is_a_type_or_a_noun(pattern: str, fact_type: str, heard: bool) -> None:
    assert matches(pattern, fact_type) is heard


def test_only_the_rules_of_the_channel_that_are_on_count() -> None:
    rules = [make_rule("backup.*", channel_id="other"), make_rule("backup.*", enabled=False)]

    assert not wants(rules, "one", "backup.failed")
    assert wants([*rules, make_rule("run.*", "backup.failed")], "one", "backup.failed")


def test_a_notification_never_causes_another() -> None:
    assert not wants([make_rule("notification.*")], "one", "notification.failed")


chances = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(st.integers(min_value=1, max_value=TRIES - 1), chances)
def test_a_try_waits_its_delay_and_at_most_a_fifth_more(tries: int, chance: float) -> None:
    wait = wait_s(tries, age_s=0, retry_after_s=None, chance=chance)

    assert wait is not None
    assert DELAYS_S[tries - 1] <= wait <= DELAYS_S[tries - 1] * 1.2


@given(chances)
def test_patience_is_granted_up_to_a_day(chance: float) -> None:
    assert wait_s(1, age_s=0, retry_after_s=600.0, chance=chance) == 600.0
    assert wait_s(1, age_s=0, retry_after_s=1e9, chance=chance) == 86400.0


def test_the_last_try_is_the_last() -> None:
    assert wait_s(TRIES, age_s=0, retry_after_s=5.0, chance=0.0) is None


def test_what_is_old_is_given_up_however_often_it_was_tried() -> None:
    assert wait_s(1, age_s=PATIENCE_S - 1, retry_after_s=None, chance=0.0) == DELAYS_S[0]
    assert wait_s(1, age_s=PATIENCE_S + 1, retry_after_s=None, chance=0.0) is None


def test_a_note_says_what_failed_and_what_to_do() -> None:
    backup_id = UUID(int=7)
    problem = Problem(code="database.missing", cause="no such database", fix="check its name")
    fact = BackupFailed(backup_id=backup_id, run_id=uuid4(), attempt=1, problem=problem)

    made = note(fact, uuid4(), source="/holdfast/test")

    assert made.text == (f"Backup failed: no such database (check its name). [backup {backup_id}]")
    assert made.event["type"] == "backup.failed"
    assert made.event["id"] == str(fact.id)
    assert made.event["subject"] == str(backup_id)
    assert made.event["data"]["problem"]["code"] == "database.missing"


def test_a_note_holds_no_token_no_list_and_no_account() -> None:
    signed_in = UserSignedIn(user_id="u1", address=Sealed(key="person-u1", token="t0k3n"))
    archive = ArchiveFacts(
        raw_bytes=1,
        stored_bytes=1,
        manifest_sha256="00",
        codec="zstd",
        tool="pg_dump",
        tool_version="16",
        server_version="16",
        taken_at=now(),
        objects=[StoredObject(name="data.0", size_bytes=1, sha256="00")],
    )
    completed = BackupCompleted(
        backup_id=uuid4(),
        run_id=uuid4(),
        attempt=1,
        prefix="p",
        started_at=now(),
        seconds=1.0,
        archive=archive,
        actor="account-1",
    )

    data = [note(fact, uuid4(), source="s").event["data"] for fact in (signed_in, completed)]

    assert data[0] == {"user_id": "u1"}
    assert data[1]["archive"]["stored_bytes"] == 1
    assert "objects" not in data[1]["archive"]
    assert "actor" not in data[1]


def test_a_request_names_its_database() -> None:
    fact = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=DatabaseRef(server_id=uuid4(), endpoint="main", name="shop"),
        store_id="s",
        run_pool="core",
    )

    assert note(fact, uuid4(), source="s").event["data"]["database"]["name"] == "shop"
