"""Settings of a process are read once, completely, and never shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shared.settings import ConfigurationError, load


class Example(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str
    workers: int = 2
    verbose: bool = False
    folder: Path | None = None


def test_fields_come_from_variables_of_their_name() -> None:
    settings = load(
        Example, {"DATABASE_URL": "x", "WORKERS": "3", "VERBOSE": "true", "FOLDER": "/x"}
    )

    assert settings == Example(database_url="x", workers=3, verbose=True, folder=Path("/x"))


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://secret\n")

    assert load(Example, {"DATABASE_URL_FILE": str(tmp_path / "url")}).database_url == (
        "postgres://secret"
    )


def test_all_faults_are_named_at_once_and_no_value_is(tmp_path: Path) -> None:
    environment = {"WORKERS": "hunter2", "DATABASE_URL_FILE": str(tmp_path / "missing")}

    with pytest.raises(ConfigurationError) as raised:
        load(Example, environment)

    assert "DATABASE_URL_FILE" in str(raised.value)
    assert "WORKERS" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_what_is_required_and_absent_is_named() -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        load(Example, {})
