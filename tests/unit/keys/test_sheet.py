"""The recovery sheet: printed, typed in again, and every typo found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.archive.keys import RecipientKey
from shared.errors import InvalidInputError
from shared.keys.files import (
    PLATFORM_FILES,
    KeyFolder,
    ensure_keys,
    forget_recovery_key,
    platform_fingerprint,
    platform_setting,
)
from shared.keys.printed import printed, typed
from shared.keys.reading import KeyFileError
from shared.keys.sheet import Sheet, parse_sheet, recovery_sheet
from shared.keys.writing import replace


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return ensure_keys(tmp_path_factory.mktemp("sheet") / "keys")


@pytest.fixture(scope="module")
def sheet(keys: KeyFolder) -> Sheet:
    return recovery_sheet(keys)


def platform_files(keys: KeyFolder) -> dict[str, bytes]:
    return {name: (keys.folder / name).read_bytes() for name in PLATFORM_FILES}


@pytest.mark.parametrize("form", ["page", "json"])
def test_a_sheet_restores_the_key_folder(
    keys: KeyFolder, sheet: Sheet, form: str, tmp_path: Path
) -> None:
    text = sheet.text() if form == "page" else sheet.json().decode()

    restored = parse_sheet(text).restore(tmp_path / "again")

    assert platform_files(restored) == platform_files(keys)
    assert platform_fingerprint(restored) == platform_fingerprint(keys) == sheet.fingerprint
    assert (
        platform_setting(restored).recovery_recipient == platform_setting(keys).recovery_recipient
    )


def test_every_encryption_key_of_a_rotation_is_on_the_sheet(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    rotated = ",".join(Fernet.generate_key().decode() for _ in range(3))
    keys.encryption_key.unlink()
    keys.encryption_key.write_text(rotated)

    restored = parse_sheet(recovery_sheet(keys).text()).restore(tmp_path / "again")

    assert restored.encryption_key.read_text() == rotated


def test_every_key_that_opens_archives_is_on_the_sheet(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    older = keys.kek.read_text()
    replace(keys.kek, f"{RecipientKey.generate().printed()},{older}".encode())

    restored = parse_sheet(recovery_sheet(keys).text()).restore(tmp_path / "again")

    assert restored.kek.read_text() == keys.kek.read_text()


def test_a_sheet_typed_sloppily_is_understood(sheet: Sheet) -> None:
    typed_in = sheet.text().lower().replace("-\n", "-\n\t").replace("    ", "  ")

    assert parse_sheet(typed_in) == sheet


def test_each_single_typo_in_a_key_is_found_and_the_key_named(sheet: Sheet) -> None:
    page = sheet.text()
    start = page.index("HFSIG1-") + len("HFSIG1-")
    end = page.index("secret_key:")
    for at in range(start, end):
        if page[at] in "0123456789ABCDEF":
            wrong = page[:at] + ("0" if page[at] != "0" else "8") + page[at + 1 :]
            with pytest.raises(InvalidInputError, match="audit_key"):
                parse_sheet(wrong)


def test_two_keys_under_each_others_label_are_found(sheet: Sheet) -> None:
    swapped = re.sub(
        r"(?m)^(kek|recovery_key):",
        lambda match: "kek:" if match[1] == "recovery_key" else "recovery_key:",
        sheet.text(),
    )

    with pytest.raises(InvalidInputError, match="one sheet"):
        parse_sheet(swapped)


def test_a_missing_key_is_named(sheet: Sheet) -> None:
    with pytest.raises(InvalidInputError, match="secret_key"):
        parse_sheet(sheet.text().replace("secret_key:", "something:"))


@pytest.mark.parametrize("text", ["", "{}", "{", "kek:", "no sheet at all"])
def test_what_is_no_sheet_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_sheet(text)


def test_a_sheet_never_overwrites_keys(sheet: Sheet, tmp_path: Path) -> None:
    other = ensure_keys(tmp_path / "keys")
    before = platform_files(other)

    with pytest.raises(KeyFileError, match="already"):
        sheet.restore(other.folder)

    assert platform_files(other) == before


def test_no_sheet_is_printed_without_the_recovery_key(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    forget_recovery_key(keys)

    with pytest.raises(KeyFileError, match="removed"):
        recovery_sheet(keys)


def test_a_sheet_fits_on_a_page_and_shows_no_key_in_its_repr(sheet: Sheet) -> None:
    lines = sheet.text().splitlines()

    assert max(map(len, lines)) <= 80
    assert len(lines) <= 60
    assert "HFKEY1" not in repr(sheet)


@settings(max_examples=50)
@given(secret=st.binary(min_size=32, max_size=32), at=st.integers(0, 71), digit=st.integers(1, 15))
def test_a_changed_digit_of_any_printed_key_is_refused(secret: bytes, at: int, digit: int) -> None:
    tag, digits = "HFENC1", printed("HFENC1", secret)[7:].replace("-", "")
    wrong = f"{int(digits[at], 16) ^ digit:X}"

    assert typed(tag, f"{tag}-{digits}") == secret
    with pytest.raises(InvalidInputError):
        typed(tag, f"{tag}-{digits[:at]}{wrong}{digits[at + 1 :]}")


def test_the_recovery_script_takes_what_the_sheet_tells_to_type(sheet: Sheet) -> None:
    script = Path(__file__).parents[3] / "recover" / "holdfast-recover.py"
    told = re.findall(r"holdfast-recover\.py (\w+) [A-Z]", sheet.text())

    assert told == ["list", "decrypt"]
    for command, option in zip(told, ["--trust", "--output"], strict=True):
        shown = subprocess.run(
            [sys.executable, script, command, "--help"], capture_output=True, text=True, check=True
        )
        assert option in shown.stdout
        assert option in sheet.text()
