"""The recovery script and the golden archives: what was written once is readable for ever."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shared.archive.codecs import AnyCodec, Gzip, Lz4, Plain, Zstd
from shared.archive.keys import RecipientKey, SigningKey, fingerprint
from shared.archive.reader import open_envelope_with_passphrase, verify_objects
from tests.golden.make_golden import CHAIN, CHAINED, CODECS, PASSPHRASE, chained
from tests.support.archives import (
    PLATFORM,
    RECIPIENT,
    RECOVERY,
    SMALL,
    TRUST,
    local,
    make_plan,
    read,
    read_increment,
    text,
    write,
    write_chain,
    write_increment,
)

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "recover" / "holdfast-recover.py"
GOLDEN = ROOT / "tests" / "golden"
PREFIX = "backup1/attempt1"
TRUSTED = ("--trust", fingerprint(PLATFORM.public))
MAY_IMPORT = {"cryptography", "zstandard", "lz4"}


def recover(*argv: str | Path) -> subprocess.CompletedProcess[bytes]:
    # -I: neither the project nor anything from the environment can be imported.
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *map(str, argv)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd="/",
        timeout=60,
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(RECOVERY.printed() + "\n")
    return path


@pytest.fixture
async def archive(tmp_path: Path) -> Path:
    """A fresh archive of three volumes."""
    plan = make_plan(codec=Plain(), volume_bytes=20_000)
    await write(local(tmp_path / "store"), text(50_000), plan)
    return tmp_path / "store" / PREFIX


def test_the_script_is_one_file_that_needs_no_part_of_the_project() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported - sys.stdlib_module_names <= MAY_IMPORT


def test_the_golden_archives_are_the_ones_that_were_committed() -> None:
    listed = dict(
        reversed(line.split("  ")) for line in (GOLDEN / "SHA256SUMS").read_text().splitlines()
    )
    present = {
        str(path.relative_to(GOLDEN)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.glob("v*/**/*")
        if path.is_file()
    }

    assert present == listed
    assert {name.split("/")[0] for name in listed} == {*CODECS, CHAIN}


@pytest.mark.parametrize("name", sorted(CODECS))
async def test_this_release_reads_every_golden_archive(name: str) -> None:
    store = local(GOLDEN / name)
    raw = (GOLDEN / "raw.txt").read_bytes()

    assert await read(store) == await read(store, key=RECOVERY) == raw
    assert await open_envelope_with_passphrase(store, PREFIX, PASSPHRASE)
    assert (await verify_objects(store, PREFIX, TRUST)).ok


@pytest.mark.parametrize("name", sorted(CODECS))
def test_the_script_reads_every_golden_archive(name: str, tmp_path: Path, key_file: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE, encoding="utf-8")
    folder, out = GOLDEN / name / PREFIX, tmp_path / "out"

    by_key = recover("decrypt", folder, *TRUSTED, "--key-file", key_file, "--output", out)
    by_phrase = recover("decrypt", folder, *TRUSTED, "--passphrase-file", passphrase)

    raw = (GOLDEN / "raw.txt").read_bytes()
    assert (by_key.returncode, by_phrase.returncode) == (0, 0)
    assert out.read_bytes() == by_phrase.stdout == raw


@pytest.mark.parametrize("at", range(len(CHAINED)))
async def test_platform_and_script_read_the_golden_chain(
    at: int, tmp_path: Path, key_file: Path
) -> None:
    backup = CHAINED[at]
    expected = chained((GOLDEN / "raw.txt").read_bytes())[backup]
    out = tmp_path / "out"

    done = recover(
        *("decrypt", GOLDEN / CHAIN / backup / "attempt1", *TRUSTED),
        *("--key-file", key_file, "--output", out),
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert out.read_bytes() == expected
    assert await read_increment(local(GOLDEN / CHAIN), *CHAINED[at:]) == expected


async def test_the_script_puts_a_chain_of_thirty_increments_together(
    tmp_path: Path, key_file: Path
) -> None:
    raw, names = await write_chain(tmp_path, 30)

    done = recover("decrypt", tmp_path / "b30" / "attempt1", *TRUSTED, "--key-file", key_file)

    assert (done.returncode, done.stdout == raw) == (0, True), done.stderr
    assert await read_increment(local(tmp_path), *names) == raw


@pytest.mark.parametrize("changed", ["data.0", "index"])
async def test_the_script_refuses_a_chain_with_a_changed_or_missing_parent(
    tmp_path: Path, key_file: Path, changed: str
) -> None:
    store, raw, plan = local(tmp_path), text(40_000), make_plan(cut=SMALL)
    await write(store, raw, msgspec.structs.replace(plan, backup_id="b0"))
    increment = msgspec.structs.replace(plan, backup_id="b1")
    await write_increment(store, raw + b"more", increment, "b0")
    arguments = ("decrypt", tmp_path / "b1" / "attempt1", *TRUSTED, "--key-file", key_file)
    path = tmp_path / "b0" / "attempt1" / changed
    whole = path.read_bytes()

    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    flipped = recover(*arguments)
    path.unlink()
    missing = recover(*arguments)

    assert (flipped.returncode, missing.returncode) == (5, 5)
    assert b"b0" in flipped.stderr
    assert b"b0" in missing.stderr


@pytest.mark.parametrize("codec", [Zstd(), Plain(), Gzip(), Lz4()])
@pytest.mark.parametrize("size", [0, 16_385, 2_500_000])
async def test_the_script_reads_what_was_written_just_now(
    tmp_path: Path, key_file: Path, codec: AnyCodec, size: int
) -> None:
    raw = text(size)
    await write(local(tmp_path / "store"), raw, make_plan(codec=codec, volume_bytes=300_000))

    done = recover("decrypt", tmp_path / "store" / PREFIX, *TRUSTED, "--key-file", key_file)

    assert (done.returncode, done.stdout == raw) == (0, True), done.stderr


def test_it_lists_archives_and_gives_out_the_log(archive: Path, key_file: Path) -> None:
    listed = recover("list", archive.parent.parent, *TRUSTED)
    log = recover("decrypt", archive, *TRUSTED, "--key-file", key_file, "--object", "log")

    (line,) = (json.loads(line) for line in listed.stdout.splitlines())
    assert (line["archive"], line["trusted"], line["engine"]) == (str(archive), True, "postgresql")
    assert log.stdout == b"the log of this run\n"


def test_each_problem_has_its_exit_code(archive: Path, tmp_path: Path, key_file: Path) -> None:
    other_key = tmp_path / "other"
    other_key.write_text(RecipientKey.generate().printed())
    mistyped = tmp_path / "mistyped"
    mistyped.write_text(RECIPIENT.printed()[:-1] + "?")
    stranger = ("--trust", fingerprint(SigningKey.generate().public))
    taken = tmp_path / "taken"
    taken.write_text("mine")

    assert recover("verify", archive, *TRUSTED).returncode == 0
    assert recover("verify", archive, *stranger).returncode == 6
    assert recover("verify", archive, "--trust-anyone").returncode == 0
    assert recover("verify", archive).returncode == 2
    assert recover("verify", tmp_path, *TRUSTED).returncode == 5
    for key, code in ((other_key, 4), (mistyped, 4), (tmp_path / "none", 7)):
        assert recover("decrypt", archive, *TRUSTED, "--key-file", key).returncode == code
    again = recover("decrypt", archive, *TRUSTED, "--key-file", key_file, "--output", taken)
    assert (again.returncode, taken.read_text()) == (7, "mine")
    assert not taken.with_name("taken.part").exists()


@pytest.mark.parametrize("name", ["data.0", "data.2", "index", "manifest", "envelope.1"])
def test_a_damaged_archive_gives_no_output(
    archive: Path, tmp_path: Path, key_file: Path, name: str
) -> None:
    path = archive / name
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(bytes(changed))
    out = tmp_path / "out"

    to_file = recover("decrypt", archive, *TRUSTED, "--key-file", key_file, "--output", out)
    to_stdout = recover("decrypt", archive, *TRUSTED, "--key-file", key_file)

    assert to_file.returncode == to_stdout.returncode != 0
    assert to_file.returncode in {5, 6}
    assert not out.exists()
    assert to_stdout.stdout == b""
    assert b"Traceback" not in to_stdout.stderr


def test_a_swapped_volume_is_refused(archive: Path, key_file: Path) -> None:
    first, second = archive / "data.0", archive / "data.1"
    first_bytes = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_bytes)

    assert recover("verify", archive, *TRUSTED).returncode == 5
    assert recover("decrypt", archive, *TRUSTED, "--key-file", key_file).returncode == 5
