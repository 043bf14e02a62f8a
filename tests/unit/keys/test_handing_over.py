"""The audit key's successor in the key folder: all of it, or nothing, wherever it is cut."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.archive.keys import Trust
from shared.audit.succession import Succession
from shared.keys import handing_over
from shared.keys.audit import read_audit_key
from shared.keys.files import KeyFolder, ensure_keys, platform_fingerprint, platform_setting
from shared.keys.handing_over import hand_over_audit_key, whole_keys
from shared.keys.reading import KeyFileError, read_signing_key
from shared.keys.sheet import parse_sheet, recovery_sheet


class _CutError(Exception):
    pass


def certified_by(keys: KeyFolder) -> str:
    return keys.certificate.read_text()


def test_the_new_key_signs_and_certifies_and_the_old_one_is_remembered(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    old, before = read_signing_key(keys.audit_key).public, platform_setting(keys)

    hand_over_audit_key(keys, size=7)

    new, after = read_audit_key(keys.audit_key), platform_setting(keys)
    assert new.succession.keys == (old, new.signing.public)
    assert after.audit_keys == [old.hex(), new.signing.public.hex()]
    assert after.origin == before.origin == new.succession.origin
    assert new.signing.public.hex() in certified_by(keys)
    assert not keys.next_audit_key.exists()
    assert keys.audit_handovers.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_cut_at_any_step_it_goes_on_or_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, done: bool
) -> None:
    keys = ensure_keys(tmp_path / "keys")
    old = read_signing_key(keys.audit_key).public
    steps = 0

    def cutting(work: Any) -> Any:
        def cut(*given: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step + 1 and not done:
                raise _CutError
            made = work(*given, **named)
            if steps == step + 1:
                raise _CutError
            return made

        return cut

    for name in ("create", "replace", "sync_folder"):
        monkeypatch.setattr(handing_over, name, cutting(getattr(handing_over, name)))
    with suppress(_CutError):
        hand_over_audit_key(keys, size=7)
    monkeypatch.undo()

    again = whole_keys(keys.folder)

    found = read_audit_key(again.audit_key)
    assert found.succession.keys in ((old,), (old, found.signing.public))
    assert not keys.next_audit_key.exists()
    assert found.signing.public.hex() in certified_by(again)
    hand_over_audit_key(again, size=9)
    assert read_audit_key(again.audit_key).succession.keys[0] == old


def test_an_older_key_put_back_is_refused(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    old = keys.audit_key.read_bytes()
    hand_over_audit_key(keys, size=7)
    keys.audit_key.unlink()
    keys.audit_key.write_bytes(old)
    keys.audit_key.chmod(0o400)

    with pytest.raises(KeyFileError, match="older"):
        read_audit_key(keys.audit_key)


def test_hand_overs_of_another_installation_are_refused(tmp_path: Path) -> None:
    keys, other = ensure_keys(tmp_path / "keys"), ensure_keys(tmp_path / "other")
    hand_over_audit_key(other, size=7)
    keys.audit_handovers.write_bytes(other.audit_handovers.read_bytes())
    keys.audit_handovers.chmod(0o400)

    with pytest.raises(KeyFileError, match="never handed over"):
        read_audit_key(keys.audit_key)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_sheet_brings_the_hand_overs_back_and_names_what_to_trust(
    tmp_path: Path, form: str
) -> None:
    keys = ensure_keys(tmp_path / "keys")
    first = platform_fingerprint(keys)
    hand_over_audit_key(keys, size=7)
    hand_over_audit_key(keys, size=70)
    sheet = recovery_sheet(keys)

    text = sheet.text() if form == "text" else sheet.json().decode()
    again = parse_sheet(text).restore(tmp_path / "again")

    assert first in sheet.text()
    assert read_audit_key(again.audit_key) == read_audit_key(keys.audit_key)
    assert platform_setting(again).handovers == platform_setting(keys).handovers


def test_archives_of_before_are_trusted_by_all_keys_of_the_line(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    old = read_signing_key(keys.audit_key).public
    hand_over_audit_key(keys, size=7)

    trust = Trust.of(*map(bytes.fromhex, platform_setting(keys).audit_keys))

    assert trust.fingerprints == Trust.of(old, read_signing_key(keys.audit_key).public).fingerprints
    assert Succession.of(old, platform_setting(keys).handovers).keys[0] == old
