"""Events of a small platform, for the tests of the auditor."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from shared.bus import Delivery
from shared.messages.base import Fact, Message, Setting
from shared.messages.facts import (
    BackupAttempted,
    BackupCompleted,
    BackupRequested,
    RunDispatched,
)
from shared.messages.settings import ServerSetting
from shared.messages.values import ArchiveFacts, DatabaseRef, TableContent
from shared.messages.wire import encode, headers
from tests.support.archives import archive_facts

START = datetime(2026, 1, 1, tzinfo=UTC)


def delivered(
    messages: Iterable[Fact | Setting | bytes], *, first: int = 1, subject: str = "evt.x.y.core.z"
) -> list[Delivery]:
    """The messages as the stream would hand them over; bytes stand for poison."""
    return [_delivery(message, seq, subject) for seq, message in enumerate(messages, first)]


def _delivery(message: Message | bytes, seq: int, subject: str) -> Delivery:
    at = START + timedelta(seconds=seq)
    if isinstance(message, bytes):
        return Delivery("EVENTS", subject, seq, at, {"Nats-Msg-Id": f"poison-{seq}"}, message)
    return Delivery("EVENTS", message.subject, seq, at, headers(message, "test"), encode(message))


def shop(name: str = "shop") -> DatabaseRef:
    return DatabaseRef(server_id=UUID(int=7), endpoint="main", name=name)


def server() -> ServerSetting:
    return ServerSetting(key=str(UUID(int=7)), name="one", runner={"kind": "local"}, endpoints=[])


def backup_requested(note: str = "") -> BackupRequested:
    return BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=shop(),
        store_id="store",
        run_pool="core",
        actor="user-1",
        note=note,
    )


def archive() -> ArchiveFacts:
    return archive_facts(
        raw_bytes=1000,
        stored_bytes=300,
        manifest_sha256="0" * 64,
        tool_version="18",
        server_version="18",
        taken_at=START,
        tables=[TableContent(name="public.orders", rows=5)],
    )


def attempted(request: BackupRequested, attempt: int = 1) -> BackupAttempted:
    return BackupAttempted(
        backup_id=request.backup_id,
        run_id=request.run_id,
        attempt=attempt,
        worker=f"worker-{attempt}",
        store_id="store",
        prefix=f"{request.backup_id}/{attempt}",
    )


def completed(request: BackupRequested, attempt: int = 1) -> BackupCompleted:
    return BackupCompleted(
        backup_id=request.backup_id,
        run_id=request.run_id,
        attempt=attempt,
        prefix=f"{request.backup_id}/{attempt}",
        started_at=START,
        seconds=2.5,
        archive=archive(),
    )


def backup_story(note: str = "") -> list[Fact]:
    """The four facts of a backup that went well."""
    request = backup_requested(note)
    sent = RunDispatched(run_id=request.run_id, kind="backup", run_pool="core", order_id=uuid4())
    return [request, sent, attempted(request), completed(request)]
