"""The one-shot commands of the auditor: JSON on stdout, and an exit code.

0: done, or nothing is wrong. 1: it could not be done. 2: bad arguments. 3: the stream is damaged.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from services.auditor.comparison import StreamDamagedError, compare_all, compare_ends
from services.auditor.fork import PENDING
from services.auditor.guard import QUICK_EVENTS
from services.auditor.history import History
from services.auditor.line import line
from services.auditor.rebuild import forget, rebuild
from services.auditor.repair import Workshop, repair
from services.auditor.settings import Settings
from services.auditor.writer import connected
from shared import log
from shared.bus.connection import BusSettings
from shared.bus.errors import BusRefusedError
from shared.bus.jetstream import connect
from shared.errors import PlatformError
from shared.keys.audit import read_audit_key
from shared.readmodel.migrations import migrate
from shared.settings import load

FAILED, DAMAGED = 1, 3


def run_command(arguments: Sequence[str]) -> None:
    """Run one command and exit with its code."""
    log.configure("auditor", level=os.environ.get("LOG_LEVEL", "warning"))
    wanted = _parser().parse_args(arguments)
    try:
        answer, code = asyncio.run(_run(wanted))
    except StreamDamagedError as error:
        answer, code = {"ok": False, "code": error.code, "cause": error.cause}, DAMAGED
    except PlatformError as error:
        answer = {"ok": False, "code": error.code, "cause": error.cause, "fix": error.fix}
        code = FAILED
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    raise SystemExit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="services.auditor")
    commands = parser.add_subparsers(dest="command", required=True)
    guard = commands.add_parser("guard", help="compare the stream with event_log")
    guard.add_argument("--all", action="store_true", help="read every event, however many")
    fix = commands.add_parser("repair", help="re-create the stream from event_log")
    fix.add_argument("--folder", type=Path, default=Path(), help="where a fork's events are kept")
    again = commands.add_parser("rebuild", help="make the read models anew")
    again.add_argument("--from-stream", action="store_true", help="forget event_log, too")
    return parser


async def _run(wanted: argparse.Namespace) -> tuple[dict[str, Any], int]:
    settings = load(Settings, os.environ)
    bus_settings = load(BusSettings, os.environ)
    await migrate(settings.database_url, reader=settings.reader_role)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connected(settings.database_url))
        if wanted.command == "rebuild" and not wanted.from_stream:
            return _done(await rebuild(connection))
        bus = await stack.enter_async_context(connect(bus_settings, source="auditor", gate=False))
        if wanted.command == "guard":
            return await _guard(bus, History(connection), everything=wanted.all)
        if wanted.command == "rebuild":
            await forget(bus, connection, read_audit_key(Path(settings.audit_key_file)).succession)
            return {"ok": True}, 0
        cause = await _cause(bus, History(connection), wanted.folder)
        if cause is None:
            return {"ok": True, "cause": "nothing is damaged"}, 0
        own = await stack.enter_async_context(line(bus_settings))
        key = read_audit_key(Path(settings.audit_key_file)).signing
        shop = Workshop(bus, own, connection, key, wanted.folder)
        return _done(await repair(shop, cause=cause))


async def _guard(bus: Any, history: History, *, everything: bool) -> tuple[dict[str, Any], int]:
    await compare_ends(bus, history)
    read = await compare_all(bus, history, newest=None if everything else QUICK_EVENTS)
    return {"ok": True, "events": (await history.tail()).seq, "read": read}, 0


async def _cause(bus: Any, history: History, folder: Path) -> str | None:
    try:
        await compare_ends(bus, history)
        await compare_all(bus, history)
    except StreamDamagedError as error:
        return error.cause
    except BusRefusedError as error:
        return f"the stream cannot be read: {error.cause}"
    return "an earlier repair was interrupted" if (folder / PENDING).exists() else None


def _done(report: msgspec.Struct) -> tuple[dict[str, Any], int]:
    return {"ok": True, **msgspec.to_builtins(report)}, 0
