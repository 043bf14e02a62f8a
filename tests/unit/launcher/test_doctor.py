"""What can be seen of an installation that does not run, and that nothing of it is changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.launcher.directory import DataDirectory
from services.launcher.doctor import Finding, Level, at_rest, examined, is_well
from services.launcher.doctor.beats import agreement, presence
from services.launcher.doctor.outside import Place, holds, place_of, reached
from services.launcher.doctor.stores import used
from services.launcher.doctor.users import judged
from services.launcher.doctor.workers import dumps, postgres_majors, redis
from services.launcher.installation import SERVICES
from shared.keys.files import KeyFolder, ensure_keys
from shared.serving import Beat
from tests.support.certificates import certified

CANARY = "canary-hunter2"


@pytest.fixture
def home(tmp_path: Path) -> DataDirectory:
    home = DataDirectory(tmp_path / "home")
    with home.locked():
        ensure_keys(home.keys)
    return home


async def errors(home: DataDirectory) -> dict[str, Finding]:
    found = await examined(home)
    assert is_well(found) == (not [one for one in found if one.level is Level.FAIL])
    return {one.name: one for one in found if one.level is Level.FAIL}


async def test_a_good_installation_is_well_but_for_the_recovery_key_that_still_lies_there(
    home: DataDirectory,
) -> None:
    found = await examined(home)

    assert await errors(home) == {}
    doubts = [one.name for one in found if one.level is Level.WARN]
    assert set(doubts) - {"disk"} == {"recovery key"}
    assert [one.name for one in found][-1] == "platform"


async def test_where_there_is_nothing_that_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    home = DataDirectory(tmp_path / "none")

    assert list(await errors(home)) == ["data directory"]
    assert not home.root.exists()


def forget(keys: KeyFolder) -> None:
    keys.audit_key.unlink()


def spoil(keys: KeyFolder) -> None:
    for path in (keys.kek, keys.encryption_key, keys.secret_key, keys.signing_key):
        path.chmod(0o600)
        path.write_text(CANARY)
        path.chmod(0o400)


def expose(keys: KeyFolder) -> None:
    keys.secret_key.chmod(0o444)
    keys.folder.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("harm", "about"),
    [
        (forget, {"audit key"}),
        (spoil, {"key-encryption key", "encryption key", "worker's signing key"}),
        (expose, {"secret key", "data directory"}),
    ],
)
async def test_what_is_wrong_with_keys_is_named_with_its_mending_and_without_any_secret(
    home: DataDirectory, harm: Callable[[KeyFolder], None], about: set[str]
) -> None:
    harm(KeyFolder(home.keys))

    found = await errors(home)

    assert {*found} >= about
    assert all(one.fix for one in found.values())
    assert CANARY not in str(found)


async def test_several_things_are_all_told_at_once(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_rest, "NEARLY_NONE_BYTES", 1 << 62)
    forget(KeyFolder(home.keys))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (home.state / "gateway_port").write_text(str(taken.getsockname()[1]))

        assert {*await errors(home)} == {"audit key", "disk", "port"}


async def test_key_files_that_are_somebody_elses_are_told(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.keys / "passwords").mkdir(mode=0o700)
    (home.keys / "passwords" / "nats-storage").touch(0o400)
    monkeypatch.setattr(at_rest, "stranger", lambda path: "user 4711")

    found = await errors(home)

    assert {"data directory", "audit key", "worker's certificate", "passwords"} <= {*found}
    assert found["audit key"].fix.startswith(f"chown {os.geteuid()} ")


def test_who_owns_a_file_is_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.touch()
    assert at_rest.stranger(path) == ""

    if os.geteuid() == 0:
        os.chown(path, 4711, -1)  # root's own files would be everybody's to trust
    monkeypatch.setattr(os, "geteuid", lambda: 4712)

    assert at_rest.stranger(path) == f"user {path.stat().st_uid}"


async def test_passwords_that_others_can_read_are_told(home: DataDirectory) -> None:
    (home.keys / "passwords").mkdir(mode=0o700)
    (home.keys / "passwords" / "nats-storage").touch(0o444)

    assert (await errors(home))["passwords"].cause == "in the wrong hands: nats-storage"


async def test_a_certificate_that_ends_soon_and_a_file_that_is_none_are_told(
    home: DataDirectory,
) -> None:
    (home.root / "tls").mkdir()
    certified(home.root / "tls")
    (home.root / "tls" / "nats.pem").write_text("nothing")

    found = {one.name: one for one in await examined(home)}

    assert found["certificate server.pem"].level is Level.WARN  # a day is left of it
    assert found["certificate nats.pem"].level is Level.FAIL


@pytest.mark.parametrize(
    ("left", "level"),
    [(timedelta(days=90), "ok"), (timedelta(days=20), "warn"), (timedelta(hours=-1), "fail")],
)
def test_a_certificate_is_judged_by_the_time_that_is_left(left: timedelta, level: str) -> None:
    assert holds("x", datetime.now(UTC) + left).level == level


@pytest.mark.parametrize(("held", "level"), [(79, "ok"), (80, "warn"), (100, "fail")])
def test_a_store_is_judged_by_what_it_holds_of_its_quota(held: int, level: str) -> None:
    assert used("cellar", held, 100).level == level
    assert used("cellar", held, None).level == "ok"


def test_a_user_is_judged_by_what_it_is_refused() -> None:
    def refused(*subjects: str) -> list[str]:
        return [f'permissions violation for publish to "{one}"' for one in subjects]

    good = judged("x", refused("evt.>"), ["ask.auditor.guard"], ["evt.>"])
    less = judged("x", refused("evt.>", "ask.auditor.guard"), ["ask.auditor.guard"], ["evt.>"])
    more = judged("x", [], ["ask.auditor.guard"], ["evt.>"])

    assert [one.level for one in (good, less, more)] == ["ok", "fail", "fail"]
    assert "may not use ask.auditor.guard" in less.cause
    assert "not its own" in more.cause


def test_services_of_another_version_or_none_are_told() -> None:
    def beat(service: str, version: str) -> Beat:
        return Beat(service=service, replica=service, pid=1, host="h", version=version)

    alike = {name: beat(name, "2.0") for name in SERVICES}
    mixed = agreement(alike | {"old": beat("storage", ""), "new": beat("health", "2.1")}, "2.0")

    assert agreement(alike, "2.0").level is Level.OK
    assert mixed.level is Level.WARN
    assert "health 2.1, storage of no version" in mixed.cause
    assert presence({*SERVICES}).level is Level.OK
    assert presence({*SERVICES} - {"health"}).cause == "not heard: health"


def test_tools_are_held_against_the_versions_that_servers_answered_with() -> None:
    heard = {"main": "17.2", "old": "12.1 (Debian)", "cache": "7.2"}
    engines = {"main": "postgresql", "old": "postgresql", "cache": "redis", "mute": "postgresql"}

    assert postgres_majors(engines, heard) == {12, 17}
    assert dumps({12, 17}, {17, 18}).fix == "apt install postgresql-client-12"
    assert dumps({17}, {17, 18}).level is Level.OK
    assert redis(None).level is Level.WARN
    assert redis("/usr/bin/redis-server").level is Level.OK


def test_a_place_is_read_from_whatever_names_one() -> None:
    assert place_of({"kind": "local", "root": "/x"}) is None
    assert place_of({"kind": "s3", "endpoint": ""}) is None
    assert place_of({"endpoint": "http://s3:9000"}) == Place(host="s3", port=9000, tls=False)
    assert place_of({"url": "https://hooks.example/x"}) == Place(
        host="hooks.example", port=443, tls=True
    )
    mail = place_of({"host": "mail", "port": 465, "security": "tls"})
    assert mail == Place(host="mail", port=465, tls=True)


async def test_a_place_that_nobody_answers_at_is_told_and_one_of_credentials_never_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        there = await reached("x", Place(host="127.0.0.1", port=port, tls=False))
    gone = await reached("x", Place(host="127.0.0.1", port=port, tls=False))
    cloud = await reached("x", Place(host="169.254.169.254", port=80, tls=False))

    assert [one.level for one in (there, gone, cloud)] == ["ok", "fail", "fail"]
    assert "does not answer" not in cloud.cause
