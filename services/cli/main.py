"""The command line: `holdfast NOUN VERB`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.text import Text

from services.cli.commands import (
    access,
    audit,
    backups,
    deployment,
    dispatch,
    groups,
    keys,
    letters,
    notifications,
    objectives,
    overview,
    people,
    platform,
    policies,
    runs,
    schedules,
    servers,
    settings,
    stores,
    templates,
)
from services.cli.errors import INTERRUPTED, OK, USAGE, exit_code_of
from shared.errors import PlatformError

NOUNS = (
    platform,
    overview,
    deployment,
    keys,
    access,
    people,
    groups,
    servers,
    stores,
    policies,
    schedules,
    objectives,
    backups,
    runs,
    dispatch,
    notifications,
    templates,
    audit,
    settings,
    letters,
)


def app() -> App:
    """Every command."""
    root = App(
        name="holdfast",
        help="Back up databases, and get them back.",
        version_flags=["--version"],
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for noun in NOUNS:
        noun.register(root)
    return root


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code, as `docs/cli.md` lists them."""
    try:
        result = app()(arguments, exit_on_error=False)
    except CycloptsError:
        return USAGE
    except PlatformError as error:
        _complain(error.cause, error.fix)
        return exit_code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return OK
    return result if isinstance(result, int) else OK


def _complain(cause: str, fix: str) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(Text("holdfast: ", style="red") + Text(cause), soft_wrap=True)
    if fix:
        console.print(Text(f"  {fix}"), soft_wrap=True)


def main() -> None:
    """The console script."""
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
