"""The gateway behind granian, and the command line against it."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.errors import CONFLICT, MISSING, OK, REFUSED, USAGE
from services.cli.main import run
from shared.bus.base import EVENTS
from shared.messages.facts import BackupRequested, ServerTested
from tests.integration.gateway.platform import (
    EMAIL,
    PASSWORD,
    Gateway,
    Platform,
)
from tests.integration.gateway.signing import KEY, identified, signed
from tests.integration.gateway.test_backups import completed
from tests.integration.gateway.test_downloads import complete


class CommandLine:
    """Runs commands as a user of this gateway would."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, Any]:
        """The exit code, and stdout as JSON (or stderr where stdout is empty)."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, arguments)
        said = self._capsys.readouterr()
        # The gateway is in this process, and its own log lines go to stdout, too.
        lines = [line for line in said.out.splitlines() if line.startswith(("{", "["))]
        return code, json.loads("\n".join(lines)) if lines else said.err


@pytest.fixture
async def holdfast(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line, signed in."""
    monkeypatch.setenv("HOLDFAST_URL", url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "nowhere"))
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    holdfast = CommandLine(capsys)
    code, _ = await holdfast("login", "--email", EMAIL, "--password-file", str(password))
    assert code == OK
    return holdfast


async def test_every_answer_carries_the_security_headers_and_a_request_id(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        for path in ("/healthz", "/api/v1/servers", "/api/v1/nowhere", "/docs", "/"):
            answer = await client.get(path, headers={"x-request-id": "asked-by-a-test"})

            assert answer.headers["x-request-id"] == "asked-by-a-test"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "server-timing" not in answer.headers


async def test_a_body_that_is_too_large_or_no_json_is_a_problem(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        large = await client.post("/api/v1/auth/login", json={"email": "x" * (2 << 20)})
        broken = await client.post(
            "/api/v1/auth/login", content=b"{", headers={"content-type": "application/json"}
        )

    assert (large.status_code, large.json()["code"]) == (413, "input.too_large")
    assert (broken.status_code, broken.json()["code"]) == (400, "input.invalid")


async def test_an_open_event_stream_does_not_hold_up_the_end(url: str, gateway: Gateway) -> None:
    headers = {"authorization": gateway.client.headers["authorization"]}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        client.stream("GET", "/api/v1/events", timeout=10) as stream,
    ):
        lines = stream.aiter_lines()
        first = [await anext(lines) for _ in range(3)]
        gateway.deps.live.close()
        rest = [line async for line in lines]

    assert "event: ready" in first
    assert not [line for line in rest if line.startswith("event")]


async def test_the_command_line_registers_tests_backs_up_and_waits(
    holdfast: CommandLine, platform: Platform, gateway: Gateway, tmp_path: Path
) -> None:
    password = tmp_path / "secret"
    password.write_text("canary-9c")
    store = await holdfast("store", "add", "cellar", "--set", f"root={tmp_path}")
    server = await holdfast(
        *("server", "add", "shop", "--set", "host=127.0.0.1", "--set", "port=5432"),
        *("--set", "user=u", "--set", "tls=off", "--secret", f"password={password}"),
    )
    twice = await holdfast("store", "add", "cellar", "--set", f"root={tmp_path}")
    working = asyncio.create_task(_work(platform, gateway))

    tested = await holdfast("server", "test", "shop")
    backed_up = await holdfast("backup", "run", "shop", "orders", "--wait")
    listed = await holdfast("backup", "list")

    await working
    assert (store[0], server[0], twice[0]) == (OK, OK, CONFLICT)
    assert "canary" not in json.dumps(server[1])
    assert (tested[0], tested[1]["versions"]) == (OK, {"main": "16.14"})
    assert (backed_up[0], backed_up[1]["status"]) == (OK, "completed")
    assert [item["id"] for item in listed[1]] == [backed_up[1]["id"]]


async def test_the_command_line_says_what_is_wrong_with_one_exit_code_each(
    holdfast: CommandLine, tmp_path: Path
) -> None:
    unknown = await holdfast("backup", "run", "nowhere", "orders")
    setting = await holdfast("store", "add", "x", "--set", "nonsense=1")
    await holdfast("logout")
    signed_out = await holdfast("store", "list")

    assert unknown[0] == MISSING
    assert (setting[0], "root" in setting[1]) == (USAGE, True)
    assert (signed_out[0], "holdfast login" in signed_out[1]) == (REFUSED, True)


async def test_the_command_line_manages_accounts_sessions_keys_and_groups(
    holdfast: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    group = await holdfast("group", "add", "web")
    user = await holdfast(
        *("user", "add", "Grace", "--email", "grace@example.com", "--role", "operator"),
        *("--group", "web", "--without", "backups.download", "--password-file", str(password)),
    )
    role = await holdfast("user", "role", "grace@example.com", "viewer")
    made = await holdfast(
        *("token", "add", "robot", "--right", "servers.read", "--token-file", str(token))
    )
    sessions = await holdfast("session", "list")
    with monkeypatch.context() as patch:
        patch.setenv("HOLDFAST_TOKEN_FILE", str(token))
        read, refused = await holdfast("server", "list"), await holdfast("user", "list")
    revoked = await holdfast("token", "revoke", "robot")
    deleted = await holdfast("user", "delete", "grace@example.com")

    assert user[1]["grants"] == [
        {"role": "operator", "group_ids": [group[1]["id"]], "without": ["backups.download"]}
    ]
    assert (role[1]["role"], role[1]["grants"]) == ("viewer", [])
    assert ("token" in made[1], token.stat().st_mode & 0o777) == (False, 0o600)
    assert [item["current"] for item in sessions[1]].count(True) == 1
    assert (read[0], refused[0], revoked[0], deleted[0]) == (OK, REFUSED, OK, OK)


async def _work(platform: Platform, gateway: Gateway) -> None:
    """What a worker does with a test and with a backup."""
    async for delivery in platform.bus.follow(EVENTS, after_seq=0):
        message = delivery.message
        if delivery.subject.startswith("evt.server.test_requested."):
            said: Any = message
            await platform.bus.append(
                ServerTested(
                    server_id=said.server_id, run_id=said.run_id, versions={"main": "16.14"}
                )
            )
        if isinstance(message, BackupRequested):
            await gateway.deps.read_model.at_least(delivery.seq)
            await completed(gateway, str(message.backup_id))
            return


async def test_the_log_is_searched_proved_and_settings_go_back_by_command(
    gateway: Gateway, platform: Platform, holdfast: CommandLine
) -> None:
    policy = await gateway.add("/policies", {"name": "weekly", "keep_last": 3})
    changed = await gateway.call(
        "PUT",
        f"/policies/{policy['id']}",
        {"name": "weekly", "keep_last": 5},
        if_match=f'"{policy["version"]}"',
    )
    await signed(platform)

    _, entries = await holdfast("audit", "list", "--object", f"policy/{policy['id']}")
    number = str(entries[-1]["n"])
    proved = await holdfast("audit", "proof", number, "--key", KEY.public.hex())
    refused, _ = await holdfast("audit", "proof", number, "--key", "00" * 32)
    back = await holdfast("setting", "revert", "policy", policy["id"], str(policy["version"]))
    _, versions = await holdfast("setting", "versions", "policy", policy["id"])
    _, hits = await holdfast("search", "week")
    _, letters = await holdfast("dlq", "list")

    assert changed.status_code == 200
    assert proved[0] == OK
    assert proved[1]["action"] == "policy.set"
    assert refused != OK
    assert back[0] == OK
    assert [one["version"] for one in versions][-1] == policy["version"]
    assert len(versions) == 3
    assert [hit["noun"] for hit in hits] == ["policy"]
    assert letters == []


async def test_a_schedule_is_foretold_before_it_is_saved_by_command(
    gateway: Gateway, holdfast: CommandLine, tmp_path: Path
) -> None:
    server, store = await gateway.add_server(run_limit=1), await gateway.add_store(tmp_path / "s")
    place = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    asked = await gateway.call("POST", "/backups", {"database": place, "store_id": store["id"]})
    what = ("--cron", "0 3 * * *", "--database", asked.json()["database_id"], "--store", "s")
    _, foretold = await holdfast("schedule", "add", "one", *what, "--dry-run")
    _, nothing = await holdfast("schedule", "list")
    await holdfast("schedule", "add", "one", *what)
    await holdfast("schedule", "add", "two", *what)
    _, shown = await holdfast("schedule", "show", "one")

    assert (foretold["databases"], foretold["warnings"], nothing) == (1, [], [])
    assert {one["code"] for one in shown["warnings"]} == {"overlap", "server_busy"}
    assert {name for one in shown["warnings"] for name in one["schedules"]} == {"two"}


async def test_objectives_are_set_watched_and_removed_by_command(
    gateway: Gateway, holdfast: CommandLine, tmp_path: Path
) -> None:
    server, store = await gateway.add_server(), await gateway.add_store(tmp_path / "store")
    place = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    await gateway.call("POST", "/backups", {"database": place, "store_id": store["id"]})
    wrong, _ = await holdfast("objective", "add", "daily", "--rpo", "a day")
    made = await holdfast("objective", "add", "daily", "--rpo", "24h", "--rto", "90m")
    _, listed = await holdfast("objective", "list")
    _, shown = await holdfast("objective", "show", "daily")
    _, standing = await holdfast("objective", "status", "--standing", "met")
    _, missed = await holdfast("objective", "status", "--standing", "missed")
    gone, _ = await holdfast("objective", "remove", "daily")

    assert wrong == USAGE
    assert (made[1]["rpo_s"], made[1]["rto_s"]) == (86_400, 5_400)
    assert listed == [shown]
    assert [(one["database"], one["objective"]) for one in standing] == [("shop", "daily")]
    assert (missed, gone) == ([], OK)


async def test_a_backup_is_downloaded_by_command(
    gateway: Gateway, platform: Platform, holdfast: CommandLine, tmp_path: Path
) -> None:
    await identified(platform)
    server, store = await gateway.add_server(), await gateway.add_store(tmp_path / "store")
    place = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    asked = await gateway.call("POST", "/backups", {"database": place, "store_id": store["id"]})
    await complete(gateway, asked.json(), tmp_path / "store")
    file = tmp_path / "taken.tar"

    async def signing() -> None:
        while True:
            await signed(platform)
            await asyncio.sleep(0.1)

    notary = asyncio.create_task(signing())
    code, _ = await holdfast("backup", "download", asked.json()["id"], str(file))
    again, _ = await holdfast("backup", "download", asked.json()["id"], str(file))
    notary.cancel()

    assert (code, again) == (OK, USAGE)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as tar:
        assert tar.getnames()[-1].endswith("/manifest")


async def test_the_command_line_makes_the_words_of_notes_and_a_rule_that_uses_them(
    holdfast: CommandLine, tmp_path: Path
) -> None:
    words, url = tmp_path / "short.j2", tmp_path / "url"
    words.write_text("{{ database }} of {{ server }}")
    url.write_text("https://hooks.example.com/backups")

    tried = await holdfast("template", "preview", str(words))
    made = await holdfast("template", "add", "short", str(words), "--kind", "slack")
    await holdfast("channel", "add", "team", "--kind", "slack", "--secret", f"url={url}")
    group = await holdfast("group", "add", "web", "--quota-bytes", "5000000000")
    rule = await holdfast(
        *("rule", "add", "bad", "--channel", "team", "--fact", "backup.failed"),
        *("--group", "web", "--template", "short"),
    )
    used = await holdfast("template", "remove", "short")
    await holdfast("rule", "remove", "bad")
    removed = await holdfast("template", "remove", "short")
    left = await holdfast("template", "list")

    assert tried[1]["body"] == "orders of shop"
    assert group[1]["quota_bytes"] == 5_000_000_000
    assert (rule[0], rule[1]["template_id"]) == (OK, made[1]["id"])
    assert rule[1]["group_ids"] == [group[1]["id"]]
    assert (used[0], removed[0], left[1]) == (CONFLICT, OK, [])
