"""The command line without a platform: arguments, secrets, what it remembers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from services.cli.errors import (
    CONFLICT,
    MISSING,
    REFUSED,
    UNREACHABLE,
    USAGE,
    AnsweredError,
    BadArgumentError,
    InClearError,
    exit_code_of,
)
from services.cli.main import app, run
from services.cli.output import show, size
from services.cli.profile import Login, Profile, refuse_in_clear
from services.cli.secrets_in import secret
from services.launcher.ports import free_port
from shared.keys.files import PLATFORM_FILES, ensure_keys
from shared.keys.sheet import recovery_sheet

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile({"XDG_CONFIG_HOME": str(tmp_path), "HOLDFAST_HOME": str(tmp_path / "none")})


def test_every_command_is_on_the_page() -> None:
    page = PAGE.read_text()

    for noun in app():
        if not noun.startswith("-"):
            assert re.search(rf"\bholdfast {noun}\b|`{noun}`", page), noun


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, USAGE),
        (401, REFUSED),
        (403, REFUSED),
        (404, MISSING),
        (409, CONFLICT),
        (412, CONFLICT),
        (422, CONFLICT),
        (503, UNREACHABLE),
        (500, 1),
    ],
)
def test_each_answer_has_its_exit_code(status: int, code: int) -> None:
    assert exit_code_of(AnsweredError(status, "x", "because")) == code


def test_wrong_arguments_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["server", "add"]) == USAGE
    assert run(["nonsense"]) == USAGE


def test_without_a_session_the_fix_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    code = run(["server", "list"])

    assert code == REFUSED
    assert "holdfast login" in capsys.readouterr().err


def test_a_silent_gateway_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    monkeypatch.setenv("HOLDFAST_TOKEN_FILE", str(token))
    monkeypatch.setenv("HOLDFAST_URL", f"http://127.0.0.1:{free_port()}")

    assert run(["backup", "list"]) == UNREACHABLE
    assert run(["status"]) == UNREACHABLE


def test_the_session_is_readable_by_its_owner_only(profile: Profile, tmp_path: Path) -> None:
    login = Login(url="http://localhost:1", access_token="canary-1", refresh_token="canary-2")

    profile.remember(login)

    assert profile.login() == login
    assert (tmp_path / "holdfast" / "login.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "holdfast").stat().st_mode & 0o777 == 0o700
    assert "canary" not in repr(login)
    profile.forget()
    assert profile.login() is None


def test_the_platform_on_this_machine_is_found_by_its_port(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "gateway_port").write_text("7423")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOLDFAST_HOME": str(tmp_path)}

    assert Profile(environment).url() == "http://127.0.0.1:7423"
    assert Profile(environment | {"HOLDFAST_URL": "https://h:1/"}).url() == "https://h:1"


@pytest.mark.parametrize(
    "url", ["http://db.example.com", "http://192.0.2.1:7420", "ftp://localhost.x"]
)
def test_no_password_crosses_a_network_in_clear(url: str) -> None:
    with pytest.raises(InClearError):
        refuse_in_clear(url)


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("canary with spaces \n# a comment\n")

    assert secret("password", str(path)) == "canary with spaces "
    with pytest.raises(BadArgumentError) as refused:
        secret("password", str(tmp_path / "nowhere"))
    assert "No such file" in refused.value.cause


def test_json_is_for_pipes_and_holds_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"id": "1", "hidden": [1]}], ["id"], None)

    assert json.loads(capsys.readouterr().out) == [{"id": "1", "hidden": [1]}]


def test_a_table_shows_no_control_character_and_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([{"name": "[red]a\x1b[31mb\r", "stored_bytes": 1536}], ["name", "stored_bytes"], "table")

    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown
    assert "[red]a" in shown
    assert "1.5 KiB" in shown


def test_sizes_are_for_people() -> None:
    assert [size(0), size(1023), size(1024), size(5 * 1024**4)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 TiB",
    ]


def test_the_recovery_key_leaves_the_machine_once_its_sheet_is_shown_and_comes_back_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, sheet = tmp_path / "home", tmp_path / "sheet"
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    home.mkdir()
    keys = ensure_keys(home / "keys")
    other = recovery_sheet(ensure_keys(tmp_path / "other"))
    before = {name: (keys.folder / name).read_bytes() for name in PLATFORM_FILES}
    assert run(["recovery-sheet", "--file", str(sheet)]) == 0
    stranger = tmp_path / "stranger"
    stranger.write_text(other.text())

    assert run(["recovery-sheet", "--forget", str(stranger)]) == USAGE
    assert keys.recovery_key.exists()
    assert run(["recovery-sheet", "--forget", str(sheet)]) == 0
    assert not keys.recovery_key.exists()
    assert keys.kek.exists()

    shutil.rmtree(keys.folder)
    assert run(["recovery-sheet", "--restore", str(sheet)]) == 0
    assert {name: (keys.folder / name).read_bytes() for name in PLATFORM_FILES} == before
    said = capsys.readouterr()
    for content in before.values():
        assert content.decode().strip() not in said.out + said.err
