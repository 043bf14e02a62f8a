"""The audit log through the API: searched, counted, explained, proved, taken away."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text

from services.gateway import proofs
from services.gateway.audit_names import _NAMED, named_by_key
from shared.audit.merkle import consistent, includes, leaf_hash
from shared.audit.note import open_note, origin_of
from shared.audit.verify import AuditRefusedError, verify_audit
from shared.messages.facts import BackupExpired
from shared.messages.values import Role
from tests.integration.gateway.platform import EMAIL, Gateway, Platform
from tests.integration.gateway.signing import KEY, identified, signed
from tests.integration.gateway.test_accounts import sign_in_as
from tests.support.waiting import eventually
from tests.unit.audit import rfc6962

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
        for noun in _NAMED:
            query = named_by_key(noun, [str(uuid4())])
            inlined = query.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
            plan = await connection.exec_driver_sql(f"EXPLAIN {inlined}")
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
