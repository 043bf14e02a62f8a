"""Everything that is looked at, in the order in which it is told."""

from __future__ import annotations

import os

from services.launcher.directory import DataDirectory
from services.launcher.doctor import at_rest
from services.launcher.doctor.findings import Finding, bad, is_well, well
from services.launcher.doctor.live import live
from services.launcher.doctor.outside import certificates
from services.launcher.installation import Installation, Passwords
from services.launcher.ports import is_free
from shared.keys.files import KeyFolder


async def examined(home: DataDirectory) -> list[Finding]:
    """Looks only: nothing is mended, whatever is found.

    Of a running platform each store gets a small object, which is read back and deleted again.
    """
    findings = [at_rest.directory(home)]
    if not home.root.is_dir():
        return findings
    findings += at_rest.keys(KeyFolder(home.keys))
    findings += [at_rest.space(home), at_rest.time_zones(), at_rest.tools()]
    findings += certificates(home.root, os.environ)
    if not home.in_use():
        return [
            *findings,
            well("platform", "it does not run; this is all that can be seen"),
            *_ports(home),
        ]
    if not is_well(findings):
        return findings  # with those keys nobody could ask it anything
    installation = Installation(home, KeyFolder(home.keys), Passwords(home.keys))
    installation.nats_url = f"nats://127.0.0.1:{_kept(home, 'nats_port')}"
    installation.gateway_port = _kept(home, "gateway_port")
    return [*findings, *[finding async for finding in live(installation)]]


def _ports(home: DataDirectory) -> list[Finding]:
    """Whether the dashboard would be where it was."""
    port = _kept(home, "gateway_port")
    if not port or is_free(port):
        return []
    fix = "stop that program, or look for the new address that `holdfast up` tells"
    return [bad("port", f"another program listens at {port}", fix)]


def _kept(home: DataDirectory, name: str) -> int:
    path = home.state / name
    return int(path.read_text()) if path.exists() else 0
