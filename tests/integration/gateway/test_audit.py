"""The audit log through the API: searched, counted, explained, proved, taken away."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from services.gateway import proofs
from services.gateway.thing_names import _NAMES, _OF, linked_by_key, named_by_key
from shared.audit.merkle import consistent, includes, leaf_hash
from shared.audit.note import open_note, origin_of
from shared.audit.verify import AuditRefusedError, verify_audit
from shared.messages.facts import BackupExpired, NotificationSent, RunDispatched
from shared.messages.values import Role
from tests.integration.gateway.platform import EMAIL, Gateway, Platform
from tests.integration.gateway.signing import KEY, identified, signed
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import projected
from tests.integration.gateway.test_commands import COMMAND
from tests.integration.gateway.test_scope import two_servers
from tests.support.waiting import eventually
from tests.unit.audit import rfc6962

SLACK = "https://hooks.slack.com/services/T/B/x"
CANARIES = ("canary-5b1f", "canary-new", EMAIL.lower(), "gAAAAA")


@pytest.fixture
async def server(gateway: Gateway) -> dict[str, Any]:
    return await gateway.add_server()


async def test_entries_are_found_by_what_they_say(gateway: Gateway, server: dict[str, Any]) -> None:
    me = (await gateway.call("GET", "/auth/me")).json()["id"]
    about = f"server/{server['id']}"
    searches = {
        f"?actor={me}&object={about}": 1,
        f"?action=server.set&object={about}": 1,
        "?action=server.*": 1,
        "?object=server/*&outcome=ok": 1,
        "?outcome=failed": 0,
        f"?object={about}&since=2099-01-01T00:00:00Z": 0,
        f"?object={about}&until=2099-01-01T00:00:00Z": 1,
        "?action=server_*": 0,
    }

    for query, count in searches.items():
        found = (await gateway.call("GET", f"/audit/logs{query}")).json()["items"]
        assert len(found) == count, query
    entry = (await gateway.call("GET", f"/audit/logs?object={about}")).json()["items"][0]
    together = await gateway.call("GET", f"/audit/logs?request_id={entry['request_id']}")
    assert {one["action"] for one in together.json()["items"]} == {"server.set", "claim.set"}


async def test_the_names_of_things_are_found_by_their_keys(gateway: Gateway) -> None:
    engine = gateway.deps.read_model._engine
    async with engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        keys = {str(uuid4())}
        queries = {noun: named_by_key(columns, keys) for noun, columns in _NAMES.items()}
        queries |= {noun: linked_by_key(noun, keys) for noun in _OF}
        for noun, query in queries.items():
            asked = query.compile(
                dialect=engine.dialect, compile_kwargs={"render_postcompile": True}
            )
            values = tuple(asked.params[name] for name in asked.positiontup or ())
            plan = await connection.exec_driver_sql(f"EXPLAIN {asked}", values)
            assert "Seq Scan" not in str(plan.all()), noun
        await connection.execute(text("RESET enable_seqscan"))


async def test_what_the_platform_notes_for_itself_can_be_left_out_and_things_have_names(
    gateway: Gateway, server: dict[str, Any]
) -> None:
    everything = (await gateway.call("GET", "/audit/logs")).json()["items"]
    told = (await gateway.call("GET", "/audit/logs?internal=false")).json()["items"]

    assert "claim.set" in {one["action"] for one in everything}
    rest = [one for one in everything if not one["action"].startswith("claim.")]
    assert told == rest
    names = {one["object"]: one["object_name"] for one in told}
    assert names[f"server/{server['id']}"] == "shop"
    [entry] = [one for one in told if one["action"] == "server.set"]
    detail = (await gateway.call("GET", f"/audit/logs/{entry['n']}")).json()
    assert detail["entry"] == entry


async def called(gateway: Gateway) -> dict[str, str]:
    """Every object of the log, and what it is called."""
    entries = (await gateway.call("GET", "/audit/logs?limit=500")).json()["items"]
    return {one["object"]: one["object_name"] for one in entries}


async def test_what_has_no_name_of_its_own_is_called_after_what_it_is_about(
    gateway: Gateway, tmp_path: Path
) -> None:
    town = (await two_servers(gateway, tmp_path))["staging"]
    wish = {"target": {**town["place"], "name": "again"}}
    path = f"/backups/{town['backup']['id']}"
    restore = (await gateway.call("POST", f"{path}/restore", wish)).json()
    deep = (await gateway.call("POST", f"{path}/deep-verify")).json()
    command = await gateway.add("/commands", {**COMMAND, "template": "true", "variables": []})
    asked = {"server_id": town["server"]["id"], "reason": "slow"}
    execution = (await gateway.call("POST", f"/commands/{command['id']}/execute", asked)).json()
    channel = await gateway.add(
        "/notifications/channels", {"name": "team", "channel": {"kind": "slack", "url": SLACK}}
    )
    told = uuid4()
    await projected(
        gateway,
        NotificationSent(
            notification_id=told,
            channel_id=channel["id"],
            fact_id=uuid4(),
            fact_type="backup.failed",
            tries=1,
        ),
    )
    runs = {"backup": town["backup"], "restore": restore, "command": execution}
    for kind, one in runs.items():
        run = UUID(one["run_id"])
        fact = RunDispatched(run_id=run, kind=kind, run_pool="core", order_id=uuid4())
        await projected(gateway, fact)

    names = await called(gateway)

    assert names[f"restore/{restore['id']}"] == "orders into again"
    assert names[f"restore/{deep['id']}"] == "orders"
    assert names[f"execution/{execution['id']}"] == "vacuum"
    assert names[f"notification/{told}"] == "team"
    assert names[f"run/{town['backup']['run_id']}"] == "backup of orders"
    assert names[f"run/{restore['run_id']}"] == "restore of orders into again"
    assert names[f"run/{execution['run_id']}"] == "command of vacuum"


async def test_what_is_deleted_keeps_the_last_name_that_it_had(
    gateway: Gateway, server: dict[str, Any]
) -> None:
    command = await gateway.add("/commands", {**COMMAND, "template": "true", "variables": []})
    asked = {"server_id": server["id"], "reason": "slow"}
    execution = (await gateway.call("POST", f"/commands/{command['id']}/execute", asked)).json()
    body = {**COMMAND, "template": "true", "variables": [], "name": "tidy"}
    path = f"/commands/{command['id']}"
    renamed = await gateway.call("PUT", path, body, if_match=f'"{command["version"]}"')
    gone = [
        await gateway.call("DELETE", path, if_match=f'"{renamed.json()["version"]}"'),
        await gateway.call("DELETE", f"/servers/{server['id']}", if_match=f'"{server["version"]}"'),
    ]
    assert [answer.status_code for answer in gone] == [204, 204]

    names = await eventually(lambda: named_after_removal(gateway))

    assert names[f"command/{command['id']}"] == "tidy"
    assert names[f"execution/{execution['id']}"] == "tidy"
    assert names[f"server/{server['id']}"] == "shop"


async def named_after_removal(gateway: Gateway) -> dict[str, str]:
    """What is called what, once the log shows all three versions of the command's."""
    found = (await gateway.call("GET", "/audit/logs?action=command.set")).json()["items"]
    return await called(gateway) if len(found) == 3 else {}


async def test_an_api_key_that_acted_is_named_also_when_it_is_revoked(gateway: Gateway) -> None:
    key = await gateway.add("/api-keys", {"name": "robot", "rights": ["policies.write"]})
    token = f"Bearer {key['token']}"
    await gateway.call("POST", "/policies", {"name": "short", "keep_last": 1}, authorization=token)

    async def actors() -> set[tuple[str, str]]:
        entries = (await gateway.call("GET", "/audit/logs?limit=500")).json()["items"]
        return {(one["actor"], one["actor_name"]) for one in entries}

    me = (await gateway.call("GET", "/auth/me")).json()["id"]
    counted = (await gateway.call("GET", "/audit/facets")).json()["actors"]
    assert {(key["id"], "robot"), (me, "")} <= await actors()
    assert {(key["id"], "robot"), (me, "")} <= {(one["value"], one["name"]) for one in counted}

    shown = await gateway.call("GET", f"/api-keys/{key['id']}")
    await gateway.call("DELETE", f"/api-keys/{key['id']}", if_match=shown.headers["etag"])
    assert (key["id"], "robot") in await actors()


async def test_sign_ins_are_found_by_address_while_the_person_is_not_erased(
    gateway: Gateway, platform: Platform
) -> None:
    me = (await gateway.call("GET", "/auth/me")).json()["id"]
    await gateway.log_in()

    here = (await gateway.call("GET", "/audit/logs?address=127.0.0.1&limit=1")).json()
    rest = (
        await gateway.call("GET", f"/audit/logs?address=127.0.0.1&cursor={here['next_cursor']}")
    ).json()
    elsewhere = (await gateway.call("GET", "/audit/logs?address=192.0.2.1")).json()["items"]
    detail = (await gateway.call("GET", f"/audit/logs/{here['items'][0]['n']}")).json()
    await gateway.deps.vault.erase(f"person-{me}")
    erased = (await gateway.call("GET", "/audit/logs?address=127.0.0.1")).json()["items"]

    assert here["items"][0]["action"] == "user.signed_in"
    assert rest["items"][0]["n"] < here["items"][0]["n"]
    assert (elsewhere, erased) == ([], [])
    assert detail["address"] == "127.0.0.1"


async def test_facets_count_what_matches_and_of_objects_the_noun(
    gateway: Gateway, server: dict[str, Any]
) -> None:
    await gateway.add_server(name="other")

    told = (await gateway.call("GET", "/audit/facets?action=server.*")).json()
    by_address = await gateway.call("GET", "/audit/facets?address=127.0.0.1")

    others = {one["value"]: one["count"] for one in told["actions"]}
    assert others["server.set"] == 2
    assert "claim.set" in others  # what could be chosen instead
    narrowed = await gateway.call("GET", "/audit/facets?action=server.*&internal=false")
    assert not any(one["value"].startswith("claim.") for one in narrowed.json()["actions"])
    assert told["objects"] == [{"value": "server", "count": 2}]
    assert (told["counted"], told["complete"]) == (2, True)
    assert by_address.status_code == 400


async def test_an_entry_tells_what_a_setting_was_and_of_secrets_only_that_they_changed(
    gateway: Gateway, server: dict[str, Any]
) -> None:
    engine = {"kind": "postgresql", "host": "db.test", "user": "shop", "password": "canary-new"}
    body = {
        "name": "shop two",
        "runner": {"kind": "local"},
        "endpoints": [{"name": "main", "engine": engine}],
    }
    path = f"/servers/{server['id']}"
    changed = await gateway.call("PUT", path, body, if_match=f'"{server["version"]}"')
    assert changed.status_code == 200, changed.text
    removed = await gateway.call("DELETE", path, if_match=changed.headers["etag"])
    assert removed.status_code == 204

    found = await gateway.call("GET", f"/audit/logs?object=server/{server['id']}")
    numbers = [entry["n"] for entry in found.json()["items"]]
    last, middle, first = [(await gateway.call("GET", f"/audit/logs/{n}")).json() for n in numbers]

    told = {one["pointer"]: one for one in middle["changes"]}
    assert told["/name"] == {"pointer": "/name", "before": "shop", "after": "shop two"}
    assert told["/endpoints/0/engine/host"]["after"] == "db.test"
    secret = "/endpoints/0/engine/password"
    assert told[secret] == {"pointer": secret, "secret": "changed"}
    assert {one["pointer"]: one for one in first["changes"]}[secret]["secret"] == "set"
    assert {one["pointer"]: one for one in last["changes"]}[secret]["secret"] == "removed"
    assert (first["previous"], middle["previous"], last["previous"]) == (
        None,
        numbers[2],
        numbers[1],
    )
    everything = msgspec.json.encode([first, middle, last]).decode()
    assert not [canary for canary in CANARIES if canary in everything]


async def test_every_entry_is_proved_to_be_in_the_signed_log(
    gateway: Gateway, platform: Platform, server: dict[str, Any]
) -> None:
    before = await signed(platform)
    await gateway.add_server(name="another")
    size = await signed(platform)
    leaves = []

    for n in range(size):
        told = (await gateway.call("GET", f"/audit/proof/{n}")).json()
        note = open_note(told["checkpoint"]["note"], origin_of(KEY.public), KEY.public)
        path = [bytes.fromhex(one) for one in told["path"]]
        leaves.append(told["leaf"].encode())
        assert note.size == size
        assert includes(leaf_hash(leaves[n]), n, size, path, note.root)
    older = (await gateway.call("GET", f"/audit/proof/0?size={before}")).json()
    grown = (await gateway.call("GET", f"/audit/consistency?from={before}")).json()

    assert older["path"] == [one.hex() for one in rfc6962.path(0, leaves[:before])]
    assert told["checkpoint"]["root"] == rfc6962.mth(leaves).hex()
    assert grown["old_root"] == rfc6962.mth(leaves[:before]).hex()
    assert grown["path"] == [one.hex() for one in rfc6962.proof(before, leaves)]
    roots = [bytes.fromhex(one) for one in (grown["old_root"], grown["checkpoint"]["root"])]
    path = [bytes.fromhex(one) for one in grown["path"]]
    assert consistent(before, roots[0], size, roots[1], path)


async def test_what_no_checkpoint_covers_is_not_proved(
    gateway: Gateway, platform: Platform
) -> None:
    nothing = await gateway.call("GET", "/audit/checkpoint")
    size = await signed(platform)
    await gateway.add_server()

    answers = [
        await gateway.call("GET", path)
        for path in (
            f"/audit/proof/{size}",
            "/audit/proof/99999999999999999999",
            "/audit/proof/0?size=1",
            "/audit/consistency?from=1",
            "/audit/logs/4711",
        )
    ]

    assert nothing.status_code == 404
    assert [answer.status_code for answer in answers] == [404] * 5


async def test_a_changed_entry_is_not_proved_but_told(
    gateway: Gateway, platform: Platform, server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = await signed(platform)

    async def forged(self: proofs.Proofs, low: int, high: int) -> list[bytes]:
        return [bytes(32)] * (high - low)

    monkeypatch.setattr(proofs.Proofs, "_leaves", forged)
    answer = await gateway.call("GET", f"/audit/proof/{size - 1}")

    assert answer.status_code == 409
    assert answer.json()["code"] == "audit.proof_refused"


async def test_an_export_proves_itself_and_is_an_entry_of_its_own(
    gateway: Gateway, platform: Platform, tmp_path: Path
) -> None:
    await identified(platform)
    await gateway.add_server()
    size = await signed(platform)

    for events in ("false", "true"):
        answer = await gateway.call("GET", f"/audit/export?events={events}")
        file = tmp_path / "export"
        file.write_bytes(answer.content)
        assert verify_audit(file, KEY.public).entries == size
    file.write_bytes(answer.content.replace(b"user.signed_in", b"user.signed_is"))

    with pytest.raises(AuditRefusedError):
        verify_audit(file, KEY.public)

    async def both_are_told() -> bool:
        answer = await gateway.call("GET", "/audit/logs?action=audit.exported")
        return len(answer.json()["items"]) == 2

    await eventually(both_are_told)


async def test_a_table_for_people_computes_nothing_abuse_case_26(
    gateway: Gateway, platform: Platform
) -> None:
    """abuse case 26: what an attacker can bring into the log is no formula in a spreadsheet."""
    evil = '=HYPERLINK("http://evil")'
    fact = BackupExpired(backup_id="b" * 8, reason="x", actor=evil, request_id="@SUM(1)")  # type: ignore[arg-type]
    await gateway.deps.read_model.at_least((await platform.bus.append(fact)).seq)

    answer = await gateway.call("GET", "/audit/export?format=csv")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    row = next(row for row in rows if row["action"] == "backup.expired")
    assert (row["actor"], row["request_id"]) == (f"'{evil}", "'@SUM(1)")
    assert answer.headers["content-type"].startswith("text/csv")
    assert [int(one["n"]) for one in rows] == list(range(len(rows)))


async def test_the_log_is_nobodys_who_may_not_read_all_of_it(gateway: Gateway) -> None:
    await sign_in_as(gateway, Role.OPERATOR)
    read = await gateway.call("GET", "/audit/logs")
    by_address = await gateway.call("GET", "/audit/logs?address=127.0.0.1")
    export = await gateway.call("GET", "/audit/export")
    await sign_in_as(gateway, Role.VIEWER)
    viewer = await gateway.call("GET", "/audit/facets")

    codes = [answer.status_code for answer in (read, by_address, export, viewer)]
    assert codes == [200, 403, 403, 403]
