"""Which channel hears which fact, when it is tried again, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.rules import Listener, Rule, matches, subscriptions, wants
from services.notifier.schedule import DELAYS_S, PATIENCE_S, TRIES, wait_s
from shared.keys.sealed import Sealed
from shared.messages.base import Fact, now
from shared.messages.facts import (
    BackupCancelled,
    BackupCompleted,
    BackupFailed,
    BackupRequested,
    NotificationSent,
    UserSignedIn,
)
from shared.messages.values import DatabaseRef, Problem, StoredObject
from shared.notices.about import About
from shared.notices.wording import event_of, sentence
from tests.support.archives import archive_facts


def hearers(listeners: list[Listener], rules: list[Rule], fact: Fact) -> list[Listener]:
    """The channels that the rules call for `fact`."""
    found = [one for one in subscriptions(listeners, rules, fact) if wants(one.rule, fact)]
    called = {one.listener.id for one in found}
    return [one for one in listeners if one.id in called]


SAID_AT = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE, AFTER = SAID_AT - timedelta(seconds=1), SAID_AT + timedelta(seconds=1)


def make_rule(*facts: str, channel_id: str = "one", since: datetime = BEFORE) -> Rule:
    return Rule(channel_id=channel_id, facts=[*facts], since=since)


def make_listener(channel_id: str = "one", since: datetime = BEFORE) -> Listener:
    return Listener(id=channel_id, channel={}, since=since)


def make_cancelled() -> BackupCancelled:
    return BackupCancelled(backup_id=UUID(int=1), run_id=UUID(int=2), attempt=1, at=SAID_AT)


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


def test_the_channels_of_the_rules_that_match_hear_it_once() -> None:
    listeners = [make_listener("one"), make_listener("two"), make_listener("three")]
    rules = [
        make_rule("backup.*"),
        make_rule("run.*", "backup.cancelled"),
        make_rule("backup.failed", channel_id="two"),
        make_rule("backup.cancelled", channel_id="three"),
    ]

    heard_by = hearers(listeners, rules, make_cancelled())

    assert [one.id for one in heard_by] == ["one", "three"]


def test_what_was_said_before_the_rule_or_its_channel_is_not_heard() -> None:
    fact = make_cancelled()

    assert hearers([make_listener()], [make_rule("backup.*")], fact)
    assert not hearers([make_listener()], [make_rule("backup.*", since=AFTER)], fact)
    assert not hearers([make_listener(since=AFTER)], [make_rule("backup.*")], fact)


def test_a_notification_never_causes_another() -> None:
    sent = NotificationSent(
        notification_id=uuid4(), channel_id="one", fact_id=uuid4(), fact_type="t", tries=1
    )

    assert hearers([make_listener()], [make_rule("notification.*")], sent) == []


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

    event = event_of(fact, source="/holdfast/test")

    end = f"failed: no such database (check its name). [backup {backup_id}]"
    assert sentence(fact) == f"Backup {end}"
    assert sentence(fact, About(server="shop", database="orders")) == (
        f"Backup of orders on shop {end}"
    )
    assert event["type"] == "backup.failed"
    assert event["id"] == str(fact.id)
    assert event["subject"] == str(backup_id)
    assert event["data"]["problem"]["code"] == "database.missing"


def test_a_note_holds_no_token_no_list_and_no_account() -> None:
    signed_in = UserSignedIn(user_id="u1", address=Sealed(key="person-u1", token="t0k3n"))
    archive = archive_facts(
        manifest_sha256="00", objects=[StoredObject(name="data.0", size_bytes=1, sha256="00")]
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

    data = [event_of(fact, source="s")["data"] for fact in (signed_in, completed)]

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

    assert event_of(fact, source="s")["data"]["database"]["name"] == "shop"
