"""Whom of the services we hear, and whether they are of one version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from services.launcher.doctor.findings import Finding, bad, doubtful, well
from services.launcher.installation import SERVICES
from shared.bus import Bus
from shared.serving import BEAT_EVERY_S, Beat
from shared.version import version

WITHIN_S = 8.0


async def services(bus: Bus) -> list[Finding]:
    """Both findings, after the time in which everybody beats."""
    heard = await _heard(bus)
    return [presence({one.service for one in heard.values()}), agreement(heard)]


async def _heard(bus: Bus) -> dict[str, Beat]:
    """The last beat of each replica that beats while we listen."""
    heard, began, fresh = dict[str, Beat](), time.monotonic(), False
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            async for entry in bus.kv("beats").watch("service.>"):
                if entry is None:
                    fresh = True
                elif fresh and entry.value is not None:
                    heard[entry.key] = msgspec.json.decode(entry.value, type=Beat)
                everybody = {one.service for one in heard.values()} >= {*SERVICES}
                if everybody and time.monotonic() - began > BEAT_EVERY_S:
                    break
    return heard


def presence(names: set[str]) -> Finding:
    if silent := [name for name in SERVICES if name not in names]:
        fix = "see their logs in the data directory under logs/"
        return bad("services", f"not heard: {', '.join(silent)}", fix)
    return well("services", f"all {len(SERVICES)} are heard")


def agreement(heard: Mapping[str, Beat], own: str = "") -> Finding:
    """All of the version of this program (`own`): during an update some are not, for a while."""
    own = own or version()
    other = sorted(
        {
            f"{one.service} {one.version or 'of no version'}"
            for one in heard.values()
            if one.version != own
        }
    )
    if other:
        fix = "finish the update: start every service anew from the same version"
        return doubtful("versions", f"this is {own}, but there are {', '.join(other)}", fix)
    return well("versions", f"everything is {own}")
