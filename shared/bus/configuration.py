"""The nats-server's configuration, rendered from the data under `nats/`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from shared.bus.layout import folder
from shared.bus.outside import outside_account, outside_exports
from shared.messages.base import checked

READERS = 16
"""How many short-lived consumers an agent may have at once; its `NATS_READERS`."""
KINDS = ("restore", "backup", "verification", "server")
"""The kinds of orders, each with a durable of its own per pool."""

API = "$JS.API"
AGENT_API = "hub.API"
"""The prefix of JetStream's API for an agent; its `NATS_API`."""

_BLOCK = re.compile(r"^      \{\n.*?^      \}\n", re.MULTILINE | re.DOTALL)
_USER = re.compile(r"^ +user: (\S+)$", re.MULTILINE)


class Tls(msgspec.Struct, frozen=True):
    """Files of the server's certificate; with `ca_file`, clients must show one of its."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None


def render_config(  # noqa: PLR0913 - what differs between two servers
    *,
    port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    agents: Sequence[str] = (),
    subscribers: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    server_name: str = "holdfast",
    tls: Tls | None = None,
) -> str:
    """The whole text: for a file that only the server's user may read (0600).

    `passwords` says which users exist; each of `agents` is a pool, whose password is under
    `agent-<pool>`; `subscribers` has the password of each outside system. Raises KeyError when a
    user of the data has no such place or password.
    """
    values = {
        "NATS_HOST": json.dumps(host),
        "NATS_PORT": str(port),
        "NATS_SERVER_NAME": json.dumps(server_name),
        "NATS_STORE_DIR": json.dumps(str(store_dir)),
    }
    server = (folder() / "server.conf").read_text()
    server = server.replace(
        'include "permissions.conf"\n', permissions(passwords, agents, subscribers)
    )
    lines = [f"{name}: {value}\n" for name, value in values.items()]
    return "".join(lines) + (_tls(tls) if tls else "") + server


def permissions(
    passwords: Mapping[str, str],
    agents: Sequence[str] = (),
    subscribers: Mapping[str, str] | None = None,
) -> str:
    """permissions.conf for exactly these users, with passwords and the outsiders' accounts."""
    text = (folder() / "permissions.conf").read_text()
    for block in _BLOCK.findall(text):
        user = _user(block)
        filled = block.replace(f"$NATS_PASSWORD_{user.upper()}", _quoted(passwords.get(user, "")))
        text = text.replace(block, filled if user in passwords else "")
    exports = [line for pool in agents for line in _exports(pool)]
    accounts = [_account(pool, passwords[f"agent-{pool}"]) for pool in agents]
    outside = subscribers or {}
    exports += outside_exports(list(outside))
    accounts += [outside_account(name, password) for name, password in outside.items()]
    text = text.replace("      # outsiders: exports\n", "".join(exports))
    return text.replace("  # outsiders: accounts\n", "".join(accounts))


def agent_subjects(pool: str) -> list[str]:
    """Everything that the agent of `pool` may say or ask."""
    templates: list[str] = json.loads((folder() / "agent.json").read_text())
    found: list[str] = []
    for template in templates:
        for one in _spread(template, "{kind}", KINDS):
            found += _spread(one, "{reader}", map(str, range(READERS)))
    return [subject.replace("{pool}", checked(pool)) for subject in found]


def _spread(template: str, place: str, values: Iterable[str]) -> list[str]:
    if place not in template:
        return [template]
    return [template.replace(place, value) for value in values]


def _exports(pool: str) -> list[str]:
    stream = "response_type: stream, accounts:"
    return [
        f"      {{ service: {_quoted(subject)}, {stream} [AGENT_{pool}] }}\n"
        for subject in agent_subjects(pool)
    ]


def _account(pool: str, password: str) -> str:
    imports = "".join(
        f"      {{ service: {{ account: HOLDFAST, subject: {_quoted(subject)} }}{_as(subject)} }}\n"
        for subject in agent_subjects(pool)
    )
    user = f"{{ user: {_quoted(f'agent-{pool}')}, password: {_quoted(password)} }}"
    return f"  AGENT_{pool} {{\n    users: [{user}]\n    imports: [\n{imports}    ]\n  }}\n"


def _as(subject: str) -> str:
    """Where the agent finds JetStream's API: in its own account the usual place is taken."""
    if not subject.startswith(API):
        return ""
    return f", to: {_quoted(subject.replace(API, AGENT_API, 1))}"


def _tls(tls: Tls) -> str:
    files = {"cert_file": tls.cert_file, "key_file": tls.key_file}
    lines = [f"  {name}: {_quoted(str(path))}\n" for name, path in files.items()]
    if tls.ca_file is not None:
        lines += [f"  ca_file: {_quoted(str(tls.ca_file))}\n", "  verify: true\n"]
    return "tls {\n" + "".join(lines) + "}\n"


def _user(block: str) -> str:
    found = _USER.search(block)
    assert found is not None, "each block of permissions.conf names its user"
    return found[1]


def _quoted(text: str) -> str:
    return json.dumps(text)
