"""The byte pipeline against `zstd -3 -T2 | openssl enc`, on one synthetic dump.

    python -m bench.pipeline [--size-mb 1024] [--rounds 3] [--folder DIR]

Both read the same file from the page cache and end with an fsync; ours also cuts and hashes every
chunk, writes the index, reads everything back from the disk and signs the manifest. With `JSON=1`
one JSON line per figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import report
from services.executor.pipeline import write_archive
from services.executor.plan import ArchivePlan, ArchiveReceipt
from shared.archive.keys import RecipientKey, SigningKey, WorkerIdentity, certify
from shared.archive.manifest import About
from shared.stores import Local

_TEXT = (
    "amber basket cedar delta ember fabric garden harbor island jacket kernel ladder marble needle "
    "orchid pepper quartz ribbon saddle timber umbrella velvet walnut yellow zephyr"
)
_PIECE = 1 << 16


def write_dump(path: Path, size: int, seed: int = 7) -> None:
    """Rows as COPY writes them: keys that count up, times, numbers, words, hex, NULLs."""
    chance, vocabulary = random.Random(seed), _TEXT.split()
    row, written = 0, 0
    with path.open("wb") as file:
        while written < size:
            lines = []
            for _ in range(2000):
                row += 1
                words = " ".join(chance.choices(vocabulary, k=chance.randrange(3, 9)))
                when = f"2026-{row % 12 + 1:02}-{row % 28 + 1:02} 12:{row % 60:02}:00+00"
                price = chance.randrange(10**7) / 100
                unique = chance.getrandbits(128)
                lines.append(f"{row}\t{unique:032x}\t{words}\t{price}\t{when}\t\\N\tt\n")
            block = "".join(lines).encode()
            file.write(block)
            written += len(block)


async def read_file(path: Path) -> AsyncIterator[bytes]:
    """The file as a pipe would give it."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
            await asyncio.sleep(0)


async def archive(path: Path, folder: Path) -> ArchiveReceipt:
    """One archive of the file in a local store."""
    platform, worker = SigningKey.generate(), SigningKey.generate()
    certificate = certify(
        platform, pool="core", public_key=worker.public, issued_at=datetime.now(UTC)
    )

    async def nothing() -> None:
        """The source always ends well."""

    async def no_log() -> AsyncIterator[bytes]:
        yield b"bench\n"

    return await write_archive(
        read_file(path),
        ended=nothing,
        plan=ArchivePlan(
            backup_id="bench",
            attempt="one",
            about=About(engine="bench", method="logical"),
            recipients=(RecipientKey.generate().public,),
            worker=WorkerIdentity(key=worker, certificate=certificate),
        ),
        store=Local(root=str(folder)),
        log=no_log(),
    )


def ours(path: Path, folder: Path) -> tuple[float, ArchiveReceipt]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.monotonic()
    receipt = asyncio.run(archive(path, folder))
    return time.monotonic() - began, receipt


def theirs(path: Path, folder: Path) -> float:
    """The pipe of tools a person would write, with the same durability."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    key = folder / "key"
    key.write_text("not a secret")
    script = (
        'cat "$1" | zstd -q -3 -T2 | openssl enc -aes-256-ctr -pbkdf2 -pass file:"$2" > "$3" '
        '&& sync "$3"'
    )
    began = time.monotonic()
    subprocess.run(["sh", "-c", script, "sh", str(path), str(key), str(folder / "out")], check=True)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where the archives go")
    parser.add_argument("--dump", default=None, help="a dump to use, or to make and keep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        dump = Path(options.dump or folder / "dump")
        if not dump.exists():
            write_dump(dump, options.size_mb << 20)
        size_mb = dump.stat().st_size / 1e6
        speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            speeds["theirs"].append(size_mb / theirs(dump, folder / "theirs"))
            seconds, receipt = ours(dump, folder / "ours")
            speeds["ours"].append(size_mb / seconds)
            if "JSON" not in os.environ:
                print(f"ours {speeds['ours'][-1]:.0f} theirs {speeds['theirs'][-1]:.0f} MB/s")
                print(receipt.seconds, f"{receipt.stored_bytes / 1e6:.0f} MB stored")
    mine, other = statistics.median(speeds["ours"]), statistics.median(speeds["theirs"])
    report("pipeline_mb_per_s", mine, "MB/s")
    report("tools_mb_per_s", other, "MB/s")
    report("pipeline_ratio", mine / other, "x", at_least=0.9)


if __name__ == "__main__":
    main()
