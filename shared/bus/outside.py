"""Outside systems on the bus: each has an account of its own, hears `evt.>`, and says nothing.

Its durable is made for it: who may make consumers may have JetStream answer where it likes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import nats
import nats.errors

from shared.bus.api import NANOSECONDS, Source, ask_api, create_consumer
from shared.bus.base import EVENTS
from shared.bus.layout import folder
from shared.bus.link import Link
from shared.messages.base import checked

FACTS = "evt.>"
API, OUTSIDE_API = "$JS.API", "hub.API"
_PREFIX = "outside-"
_ACK_WAIT_S = 30


def consumer_of(name: str) -> str:
    """The durable of an outside system."""
    return f"{_PREFIX}{checked(name)}"


def outside_subjects(name: str) -> list[str]:
    """Everything that an outside system may ask."""
    templates: list[str] = json.loads((folder() / "subscriber.json").read_text())
    return [template.replace("{name}", checked(name)) for template in templates]


def outside_exports(names: Sequence[str]) -> list[str]:
    """What the platform's account offers to these outside systems, as lines of configuration."""
    if not names:
        return []
    accounts = ", ".join(map(_account_of, names))
    lines = [f"      {{ stream: {json.dumps(FACTS)}, accounts: [{accounts}] }}\n"]
    for name in names:
        lines += [
            f"      {{ service: {json.dumps(subject)}, response_type: stream,"
            f" accounts: [{_account_of(name)}] }}\n"
            for subject in outside_subjects(name)
        ]
    return lines


def outside_account(name: str, password: str) -> str:
    """The account of one outside system, as configuration."""
    imports = [f"{{ stream: {{ account: HOLDFAST, subject: {json.dumps(FACTS)} }} }}"]
    imports += [
        f"{{ service: {{ account: HOLDFAST, subject: {json.dumps(subject)} }},"
        f" to: {json.dumps(_own(subject))} }}"
        for subject in outside_subjects(name)
    ]
    allowed = json.dumps([_own(subject) for subject in outside_subjects(name)])
    heard = json.dumps([FACTS, "_INBOX.>"])
    rights = f"{{ publish: {allowed}, subscribe: {heard} }}"
    login = f"user: {json.dumps(consumer_of(name))}, password: {json.dumps(password)}"
    return (
        f"  {_account_of(name)} {{\n"
        f"    users: [{{ {login}, permissions: {rights} }}]\n"
        f"    imports: [\n" + "".join(f"      {line}\n" for line in imports) + "    ]\n  }\n"
    )


async def make_consumers(link: Link, replay: Mapping[str, bool]) -> None:
    """Make the durable of each that has none (all facts so far where `replay`), drop all others."""
    standing = await _standing(link)
    for name, from_start in replay.items():
        if (consumer := consumer_of(name)) not in standing:
            config = _config(consumer, from_start=from_start)
            await create_consumer(link, Source(consumer, EVENTS, FACTS), config)
    for consumer in standing - set(map(consumer_of, replay)):
        await ask_api(link, f"CONSUMER.DELETE.{EVENTS}.{consumer}")


async def is_answered(url: str, name: str, password: str) -> bool:
    """Whether the outside system may sign in and reaches its durable."""
    client = await nats.connect(url, user=consumer_of(name), password=password)
    try:
        asked = f"{OUTSIDE_API}.CONSUMER.INFO.{EVENTS}.{consumer_of(name)}"
        await client.request(asked, timeout=5)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        return False
    finally:
        await client.close()
    return True


def _config(consumer: str, *, from_start: bool) -> dict[str, object]:
    return {
        "durable_name": consumer,
        "ack_policy": "explicit",
        "ack_wait": _ACK_WAIT_S * NANOSECONDS,
        "deliver_policy": "all" if from_start else "new",
        "max_deliver": -1,
    }


async def _standing(link: Link) -> set[str]:
    found: set[str] = set()
    offset, total = 0, 1
    while offset < total:
        page = await ask_api(link, f"CONSUMER.NAMES.{EVENTS}", {"offset": offset})
        names = page.get("consumers") or []
        offset, total = offset + max(len(names), 1), page["total"]
        found |= {name for name in names if name.startswith(_PREFIX)}
    return found


def _own(subject: str) -> str:
    """Where the account finds JetStream's API: the usual place is taken in each account."""
    return subject.replace(API, OUTSIDE_API, 1)


def _account_of(name: str) -> str:
    return f"SUBSCRIBER_{checked(name)}"
