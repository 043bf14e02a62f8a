"""Leaves: a pure, total function of what the log stores."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.leaf import Event, event_hash, lasting, leaf_of
from shared.messages.facts import BackupFailed, UserSignInRefused
from shared.messages.values import Problem
from shared.messages.wire import encode, headers
from tests.unit.auditor.events import START, backup_requested, server


def event(data: bytes, subject: str = "evt.backup.requested.core.b1", **more: str) -> Event:
    return Event(seq=5, at=START, subject=subject, headers=more, data=data)


def test_a_leaf_says_who_did_what_to_what() -> None:
    request = backup_requested()
    leaf = leaf_of(event(encode(request), request.subject, **lasting(headers(request, "test"))))

    assert (leaf.n, leaf.stream_seq, leaf.time) == (4, 5, "2026-01-01T00:00:00.000000Z")
    assert (leaf.actor, leaf.action, leaf.outcome) == ("user-1", "backup.requested", "ok")
    assert leaf.object == f"backup/{request.backup_id}"
    assert leaf.event_id == str(request.id)


def test_settings_failures_and_refusals_are_told_apart() -> None:
    request = backup_requested()
    problem = Problem(code="x", cause="y")
    failed = BackupFailed(
        backup_id=request.backup_id, run_id=request.run_id, attempt=1, problem=problem
    )
    refused = UserSignInRefused(user_id="u")

    assert leaf_of(event(encode(server()), server().subject)).action == "server.set"
    assert leaf_of(event(encode(failed), failed.subject)).outcome == "failed"
    assert leaf_of(event(encode(refused), refused.subject)).outcome == "refused"


def test_a_golden_leaf_never_changes() -> None:
    data = b'{"type":"backup.requested","id":"e1","actor":"u1","request_id":"r1","new":[1]}'
    leaf = leaf_of(event(data, **{"Nats-Msg-Id": "e1", "ce-type": "backup.requested"}))

    assert leaf.text() == (
        b'{"action":"backup.requested","actor":"u1","event_hash":"'
        b"d3fbb2b455e123f676c0d32570a88aaa8c38b69818d5803c6f0afca2ae49bf52"
        b'","event_id":"e1","n":4,"object":"backup/b1","outcome":"ok","request_id":"r1",'
        b'"stream_seq":5,"time":"2026-01-01T00:00:00.000000Z"}'
    )


def test_the_text_of_a_leaf_is_canonical_json() -> None:
    every = "".join(map(chr, [*range(0x20), 0x7F, 0x80, 0x2028, 0x1F600])) + '\\"/é'
    data = msgspec.json.encode({"actor": every})
    leaf = leaf_of(event(data))

    other = json.dumps(
        msgspec.structs.asdict(leaf), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    assert leaf.text() == other.encode()
    assert leaf.actor == every


@given(
    data=st.binary() | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode),
    subject=st.text(st.characters(codec="utf-8")),
    names=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text()),
)
def test_every_event_has_a_leaf(data: bytes, subject: str, names: dict[str, str]) -> None:
    one = Event(seq=1, at=START, subject=subject, headers=names, data=data)

    assert leaf_of(one).text() == leaf_of(one).text()


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b'"\xed\xa0\x80"', b"[1]", b"[" * 100_000, b"1e999"]
)
def test_poison_is_unreadable_but_counted(body: bytes) -> None:
    leaf = leaf_of(event(body, **{"Nats-Msg-Id": "from-header"}))

    assert (leaf.outcome, leaf.event_id, leaf.actor) == ("unreadable", "from-header", "")


def test_how_an_event_was_published_is_no_part_of_it() -> None:
    sent = {
        "Nats-Msg-Id": "1",
        "ce-id": "1",
        "Nats-Expected-Last-Sequence": "3",
        "Nats-Batch-Id": "b",
    }

    assert lasting(sent | {"Holdfast-Stored-At": "x"}) == {"Nats-Msg-Id": "1", "ce-id": "1"}


def test_every_part_of_an_event_is_in_its_hash() -> None:
    base = event_hash("a.b", {"x": "y"}, b"data")

    assert (
        len(
            {
                base,
                event_hash("a.c", {"x": "y"}, b"data"),
                event_hash("a.b", {"x": "z"}, b"data"),
                event_hash("a.b", {}, b"data"),
                event_hash("a.b", {"x": "y"}, b"datb"),
                event_hash("a.bd", {"x": "y"}, b"ata"),
            }
        )
        == 6
    )


def test_the_time_of_a_leaf_has_one_spelling() -> None:
    later = Event(
        seq=1,
        at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=5),
        subject="x",
        headers={},
        data=b"{}",
    )

    assert leaf_of(later).time == "2026-01-01T00:00:00.000005Z"
