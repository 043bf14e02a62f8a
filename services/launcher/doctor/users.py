"""The services' users at NATS: do they get in, and may they do what they must and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.launcher.doctor.findings import Finding, bad, well
from services.launcher.installation import SERVICES, Installation
from shared.bus.gate import GUARD

WITHIN_S = 5.0
SAID_WITHIN_S = 0.2
"""The server complains before it answers a flush; its words reach a callback a moment later."""
NOT_THERE = "holdfast_doctor"
FIX = "start the platform anew: it writes nats-server's users and permissions"


async def each_user(installation: Installation) -> AsyncIterator[Finding]:
    """One finding for each service. What is tried does nothing, even where it is let through."""
    for service in SERVICES:
        yield await _user(installation, service)


async def _user(installation: Installation, service: str) -> Finding:
    name, complaints = f"NATS user {service}", list[str]()

    async def hear(error: Exception) -> None:
        complaints.append(str(error).lower())

    try:
        client = await nats.connect(
            installation.nats_url,
            user=service,
            password=installation.passwords.read(f"nats-{service}"),
            allow_reconnect=False,
            connect_timeout=int(WITHIN_S),
            error_cb=hear,
        )
    except (nats.errors.Error, OSError, TimeoutError):
        return bad(name, "it is not let in with its password", FIX)
    try:
        must, must_not = await _tried(client, service)
    except (nats.errors.Error, OSError, TimeoutError):
        return bad(name, "it is let in, and then gets no answer", FIX)
    finally:
        await client.close()
    return judged(name, complaints, must, must_not)


async def _tried(client: Client, service: str) -> tuple[list[str], list[str]]:
    """A question and an inbox, which every service has; and what none but `bootstrap` may."""
    inbox, stream = f"_inbox_{service}.>", f"$JS.API.STREAM.DELETE.{NOT_THERE}"
    await client.subscribe(f"_INBOX_{service}.doctor", cb=_unheard)
    await client.publish(GUARD, b"")
    await client.subscribe("evt.>", cb=_unheard)
    await client.publish(stream, b"")
    await client.flush(timeout=int(WITHIN_S))
    await asyncio.sleep(SAID_WITHIN_S)
    return [inbox.replace(">", "doctor"), GUARD], ["evt.>", stream]


def judged(name: str, complaints: list[str], must: list[str], must_not: list[str]) -> Finding:
    """By what the server complained of, and of what it did not."""

    def refused(subject: str) -> bool:
        return any(f'"{subject.lower()}"' in one for one in complaints)

    if lacks := [one for one in must if refused(one)]:
        return bad(name, f"it may not use {', '.join(lacks)}", FIX)
    if excess := [one for one in must_not if not refused(one)]:
        return bad(name, f"it may use {', '.join(excess)}, which is not its own", FIX)
    return well(name, "it is let in, and may do what is its own")


async def _unheard(message: Msg) -> None:
    """What comes is not what is asked here."""
