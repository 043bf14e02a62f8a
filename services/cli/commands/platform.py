"""The platform itself: start it, look at it, mend it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import aiohttp
import msgspec
from cyclopts import App, Parameter

from services.cli.errors import FAILED, OK, UNREACHABLE, BadArgumentError, UnreachableError
from services.cli.output import Output, format_of, note, show, show_one, write_private
from services.cli.profile import Profile
from services.launcher.directory import DataDirectory
from shared.keys.files import KeyFolder, forget_recovery_key
from shared.keys.sheet import Sheet, parse_sheet
from shared.keys.sheet import recovery_sheet as sheet_of

Service = Literal[
    "auditor",
    "executor",
    "gateway",
    "health",
    "notifier",
    "retention",
    "scheduler",
    "storage",
]
SheetFile = Annotated[
    Path | None, Parameter(name="--file", help="Write it there (0600) instead of to stdout")
]

AsJson = Annotated[bool, Parameter(negative="", help="The same as --output json")]
Forget = Annotated[
    Path | None,
    Parameter(help="Remove the private recovery key from this machine, given the sheet as a file"),
]
Renew = Annotated[
    Path | None,
    Parameter(
        help="Print the keys as they are now, with the recovery key of the sheet in this file"
    ),
]
Restore = Annotated[
    Path | None, Parameter(help="Make the key folder again from the sheet in this file")
]


def up() -> int:
    """Run the whole platform on this machine, until Ctrl-C."""
    from services.launcher.up import run_up

    return run_up(_home())


def demo(*, fleet: bool = False) -> int:
    """See it work: back up, kill, restore, tamper, prove. JSON=1 for one JSON line.

    --fleet: instead look around in the dashboard of a made-up fleet, with ninety days of history.
    """
    if fleet:
        from services.cli.demo.fleet.showing import run_fleet

        return run_fleet(_home())
    from services.cli.demo.story import run_demo

    return run_demo(_home())


def serve(service: Service) -> None:
    """Run one service in this process, configured by its environment."""
    sys.argv = [f"holdfast serve {service}"]
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)


async def status(*, output: Output = None) -> int:
    """Say whether the platform is ready, and what each of its parts says."""
    url = Profile(os.environ).url()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            said = msgspec.json.decode(await response.read())
    except aiohttp.ClientConnectionError as error:
        raise UnreachableError(f"no answer from {url}") from error
    if format_of(output) == "json":
        show_one({"url": url, **said}, output)
    else:
        show_one({"url": url, "ready": said["ready"], **said["checks"]}, output)
        if KeyFolder(_home().keys).recovery_key.exists():
            note(
                "The offline recovery key still lies on this machine, where a thief would find it:"
            )
            note("print `holdfast recovery-sheet`, then remove the key with its option --forget.")
    return OK if said["ready"] else UNREACHABLE


async def doctor(*, output: Output = None, json: AsJson = False) -> int:
    """Say what is wrong with the installation on this machine and what mends it; mend nothing."""
    from services.launcher.doctor import examined, is_well

    findings = await examined(_home())
    shown = [msgspec.to_builtins(one) for one in findings]
    show(shown, ("name", "level", "cause", "fix"), "json" if json else output)
    return OK if is_well(findings) else FAILED


def rebuild(*, from_stream: bool = False) -> int:
    """Make the read models anew from the copy of the log; --from-stream: from the stream itself."""
    return _auditor(["rebuild", *(["--from-stream"] if from_stream else [])])


def repair() -> int:
    """Re-create a damaged event stream from its copy in Postgres; nothing is lost."""
    return _auditor(["repair"])


def recovery_sheet(
    *,
    file: SheetFile = None,
    form: Literal["text", "json"] = "text",
    forget: Forget = None,
    restore: Restore = None,
    renew: Renew = None,
) -> int:
    """Print every key of this installation, to keep on paper away from it."""
    keys = KeyFolder(_home().keys)
    if forget is not None:
        return _forget(keys, _read_sheet(forget))
    if restore is not None:
        _read_sheet(restore).restore(keys.folder)
        note(f"The keys are in {keys.folder} again. Delete {restore}.")
        return OK
    sheet = sheet_of(keys, before=_read_sheet(renew) if renew is not None else None)
    text = sheet.json().decode() + "\n" if form == "json" else sheet.text()
    write_private(text, file)
    return OK


def _forget(keys: KeyFolder, sheet: Sheet) -> int:
    """Remove the private recovery key, if the caller has a sheet that holds it."""
    if keys.recovery_key.exists() and sheet.check != sheet_of(keys).check:
        raise BadArgumentError("the sheet is not the one of this installation")
    forget_recovery_key(keys)
    note("The private recovery key is no longer on this machine: only the sheet has it.")
    return OK


def _read_sheet(path: Path) -> Sheet:
    try:
        return parse_sheet(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgumentError(f"{path} cannot be read") from error


def _home() -> DataDirectory:
    return DataDirectory.from_environment(os.environ)


def _auditor(arguments: list[str]) -> int:
    """Run a command of the auditor: against the servers of the environment, else the embedded."""
    if os.environ.get("NATS_URL"):
        argv = [sys.executable, "-m", "services.auditor", *arguments]
        return subprocess.run(argv, check=False).returncode
    from services.launcher.maintenance import run_auditor

    return run_auditor(_home(), arguments)


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (up, demo, serve, status, doctor, rebuild, repair, recovery_sheet):
        app.command(command)
