"""The key folder: made once, private, never overwritten."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet

from shared.archive.keys import Recipient, Trust
from shared.errors import InvalidInputError
from shared.keys.files import (
    PLATFORM_FILES,
    KeyFolder,
    ensure_keys,
    forget_recovery_key,
    platform_fingerprint,
    platform_setting,
)
from shared.keys.reading import (
    KeyFileError,
    read_identity,
    read_key_encryption_keys,
    read_order_key,
    read_signing_key,
)
from shared.keys.writing import create
from shared.messages.wire import encode


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_first_start_makes_every_key(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")

    assert set(contents(keys.folder)) == {
        *PLATFORM_FILES,
        "recovery_recipient",
        "worker/core/order_key",
        "worker/core/signing_key",
        "worker/core/certificate",
    }
    Fernet(keys.encryption_key.read_text())
    assert len(read_order_key(keys.order_key)) == 32


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    before = contents(ensure_keys(tmp_path / "keys").folder)

    assert contents(ensure_keys(tmp_path / "keys").folder) == before


def test_only_the_owner_may_look_at_the_keys(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")

    for path in [keys.folder, *keys.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o400), path


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(0o755)

    with pytest.raises(KeyFileError, match="other users"):
        ensure_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", PLATFORM_FILES[:-1])
def test_a_lost_key_is_an_error_and_never_made_anew(tmp_path: Path, name: str) -> None:
    keys = ensure_keys(tmp_path / "keys")
    (keys.folder / name).unlink()

    with pytest.raises(KeyFileError, match=name):
        ensure_keys(tmp_path / "keys")

    assert not (keys.folder / name).exists()


@pytest.mark.parametrize("made", range(len(PLATFORM_FILES) + 1))
def test_an_interrupted_first_start_goes_on_with_what_was_made(tmp_path: Path, made: int) -> None:
    complete = ensure_keys(tmp_path / "keys")
    kept = [*PLATFORM_FILES, "recovery_recipient"][:made]
    for name in {*PLATFORM_FILES, "recovery_recipient"} - set(kept):
        (complete.folder / name).unlink()
    for path in (complete.order_key, complete.signing_key, complete.certificate):
        path.unlink()
    before = contents(complete.folder)

    after = contents(ensure_keys(tmp_path / "keys").folder)

    assert {name: after[name] for name in before} == before
    assert set(PLATFORM_FILES) < set(after)


def test_a_key_is_never_written_over_another_even_at_the_same_moment(tmp_path: Path) -> None:
    path, won = tmp_path / "key", []
    start = threading.Barrier(8)

    def make(number: int) -> None:
        start.wait()
        if create(path, b"%d" % number * 100):
            won.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert path.read_bytes() == b"%d" % won[0] * 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_pool_gets_worker_keys_of_its_own(tmp_path: Path) -> None:
    core, agent = ensure_keys(tmp_path / "keys"), ensure_keys(tmp_path / "keys", "agent-7")

    assert read_order_key(core.order_key) != read_order_key(agent.order_key)
    assert core.kek == agent.kek
    assert read_identity(agent.signing_key, agent.certificate).certificate.pool == "agent-7"


def test_a_pool_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        ensure_keys(tmp_path / "keys", "../../elsewhere")


def test_the_platform_certifies_its_workers(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")

    identity = read_identity(keys.signing_key, keys.certificate)

    Trust.of(platform_fingerprint(keys)).check(msgspec.json.decode(keys.certificate.read_bytes()))
    assert identity.key == read_signing_key(keys.signing_key)


def test_a_certificate_for_another_key_is_refused(tmp_path: Path) -> None:
    core, agent = ensure_keys(tmp_path / "keys"), ensure_keys(tmp_path / "keys", "agent-7")

    with pytest.raises(KeyFileError, match="another"):
        read_identity(core.signing_key, agent.certificate)


def test_the_log_learns_public_halves_only(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")

    setting = platform_setting(keys)

    (kek,) = read_key_encryption_keys(keys.kek)
    assert setting.subject == "cfg.platform.self"
    assert Recipient.parse(setting.platform_recipient) == kek.public
    assert bytes.fromhex(setting.audit_public_key) == read_signing_key(keys.audit_key).public
    for name in PLATFORM_FILES:
        assert (keys.folder / name).read_bytes() not in encode(setting)
    assert kek.seed.hex().encode() not in encode(setting)


def test_a_forgotten_recovery_key_leaves_its_public_half(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    before = platform_setting(keys)

    forget_recovery_key(keys)
    again = ensure_keys(tmp_path / "keys")

    assert not again.recovery_key.exists()
    assert platform_setting(again).recovery_recipient == before.recovery_recipient


@pytest.mark.parametrize("damage", [b"", b"HFSIG1-canary", b"\xff" * 40])
def test_a_damaged_key_file_is_named_but_not_shown(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "audit_key").write_bytes(damage)

    with pytest.raises(KeyFileError, match="audit_key") as caught:
        read_signing_key(tmp_path / "audit_key")

    assert "canary" not in str(caught.value)
    assert not isinstance(caught.value, InvalidInputError)


def test_a_key_folder_shows_paths_only(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")

    assert repr(keys) == repr(KeyFolder(tmp_path / "keys"))
    assert "HFKEY1" not in repr(keys)
