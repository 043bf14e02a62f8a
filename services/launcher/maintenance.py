"""One command of the auditor while the platform stands still: only the servers run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.launcher.directory import DataDirectory
from services.launcher.installation import Installation, Passwords
from services.launcher.up import servers_alone
from shared.keys.handing_over import whole_keys


def run_auditor(home: DataDirectory, arguments: Sequence[str]) -> int:
    """Run `python -m services.auditor ARGUMENTS`; its exit status, its answer on stdout.

    Raises DirectoryInUseError while the platform runs, LaunchError when a server does not start.
    """
    return asyncio.run(_run(home, arguments))


async def _run(home: DataDirectory, arguments: Sequence[str]) -> int:
    with home.locked():
        installation = Installation(home, whole_keys(home.keys), Passwords(home.keys))
        installation.passwords.ensure()
        async with servers_alone(installation):
            command = installation.command("auditor")
            process = await asyncio.create_subprocess_exec(
                *command.argv, *arguments, env=command.environment, cwd=command.directory
            )
            return await process.wait()
