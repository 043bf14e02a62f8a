"""The archive by itself: codecs, verification, S3, and memory against a large parent.

    python -m bench.archives [--size-mb 1024] [--large-mb 20480] [--folder DIR]

Everything reads one synthetic dump from the page cache. The large stream is made as it is read, is
never on a disk raw, and changes in every thousandth row for the increment.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import report
from bench.pipeline import read_file, write_dump
from services.executor.pipeline import write_archive
from services.executor.plan import ArchivePlan
from services.executor.sifting import Parent
from shared.archive.chain import Chain, Link
from shared.archive.chain_reader import read_dump
from shared.archive.codecs import Gzip
from shared.archive.envelopes import open_envelope
from shared.archive.keys import RecipientKey, SigningKey, Trust, WorkerIdentity, certify
from shared.archive.manifest import About
from shared.stores import Local, Store
from tests.support.listening import listening
from tests.support.s3 import S3, make_bucket, moto_s3, rclone_s3

PLATFORM, WORKER, OWNER = (SigningKey.generate(), SigningKey.generate(), RecipientKey.generate())
IDENTITY = WorkerIdentity(
    key=WORKER,
    certificate=certify(
        PLATFORM, pool="core", public_key=WORKER.public, issued_at=datetime.now(UTC)
    ),
)
TRUST = Trust.of(PLATFORM.public)
_BLOCK = 1 << 20


async def written(store: Store, name: str, source: Any, parent: Parent | None = None) -> Any:
    """An archive of the stream."""

    async def nothing() -> None:
        """The source always ends well."""

    async def log() -> AsyncIterator[bytes]:
        yield b"bench\n"

    plan = ArchivePlan(
        backup_id=name,
        attempt="1",
        about=About(engine="bench", method="logical", type="incremental" if parent else "full"),
        recipients=(OWNER.public,),
        worker=IDENTITY,
    )
    return await write_archive(
        source, ended=nothing, plan=plan, store=store, log=log(), parent=parent
    )


async def link(store: Store, name: str) -> Link:
    key = await open_envelope(store, f"{name}/1", OWNER)
    return Link(store=store, prefix=f"{name}/1", archive_key=key)


def codecs(dump: Path) -> bool:
    """gzip by ISA-L against zlib's level 6, each alone and frame by frame."""
    with dump.open("rb") as file:
        frames = [*itertools.islice(iter(lambda: file.read(_BLOCK), b""), 200)]

    def packed(pack: Callable[[bytes], bytes]) -> tuple[float, int]:
        began = time.process_time()
        size = sum(len(pack(frame)) for frame in frames)
        return time.process_time() - began, size

    theirs, their_size = packed(lambda frame: zlib.compress(frame, 6))
    ours, size = packed(Gzip().pack)
    good = report("gzip_vs_zlib_6", theirs / ours, "x", at_least=4)
    return good & report("gzip_size_vs_zlib_6", size / their_size, "x", at_most=1.15)


async def verification(dump: Path, folder: Path) -> bool:
    """Every byte decrypted, unpacked and hashed, against `openssl enc -d | zstd -dc`."""
    (folder / "verify").mkdir()
    store = Local(root=str(folder / "verify"))
    await written(store, "full", read_file(dump))
    key = "-aes-256-ctr -pbkdf2 -pass pass:bench"
    packed = folder / "tools.out"
    _shell(f"zstd -q -3 -T2 < {dump} | openssl enc {key} > {packed}")
    ours, theirs, cpu = [], [], []
    for _ in range(3):
        theirs.append(_timed(lambda: _shell(f"openssl enc -d {key} < {packed} | zstd -dc")))
        began, used = time.monotonic(), time.process_time()
        async for _ in read_dump([await link(store, "full")], TRUST):
            pass
        ours.append(time.monotonic() - began)
        cpu.append(time.process_time() - used)
    size_mb = dump.stat().st_size / 1e6
    report("verify_mb_per_s", size_mb / statistics.median(ours), "MB/s")
    good = report(
        "verify_mb_per_s_and_core", size_mb / statistics.median(cpu), "MB/s", at_least=400
    )
    ratio = statistics.median(theirs) / statistics.median(ours)
    report("verify_vs_tools", ratio, "x")  # the bar is either of the two
    return good


async def upload(folder: Path) -> bool:
    """200 MB of what cannot be compressed to S3, against rclone's `rcat`.

    To a service that vouches for the bytes by checksum, as S3 does; and to one that does not, so
    that we, and not rclone, read all of it back.
    """
    source = folder / "random"
    source.write_bytes(os.urandom(200_000_000))
    with moto_s3() as s3:
        await make_bucket(s3)
        ratio = await _uploads(s3.store(), source)
    good = report("s3_upload_vs_rclone", ratio, "x", at_least=0.9)
    with rclone_s3(folder / "s3") as s3:
        ratio = await _uploads(s3.store(), source)
    report("s3_upload_and_read_back_vs_rclone", ratio, "x")
    return good


async def _uploads(store: S3, source: Path) -> float:
    """The median ratio of five neighbours."""
    ratios = []
    for number in range(5):
        began = time.monotonic()
        await written(store, f"upload{number}", read_file(source))
        ours = time.monotonic() - began
        ratios.append(_timed(lambda at=number: _rclone(store, source, at)) / ours)
    return statistics.median(ratios)


def _rclone(store: S3, source: Path, number: int) -> None:
    remote = (
        f":s3,provider=Other,endpoint='{store.endpoint}',access_key_id={store.access_key_id},"
        f"secret_access_key={store.secret_access_key}:{store.bucket}/rclone{number}"
    )
    program = Path(sys.executable).with_name("rclone")
    _shell(f'{program} --config /dev/null rcat "{remote}" < {source}')


def rows(size_mb: int, changed: bool) -> Iterator[bytes]:
    """Blocks of rows that differ from each other; `changed`: one in a thousand is another."""
    filler = bytes(range(32, 120)) * 10
    for number in range(size_mb):
        lines = []
        for row in range(_BLOCK // 1024):
            at = number * 1024 + row
            mark = b"changed" if changed and at % 1000 == 7 else b"same..."
            lines.append(b"%020d %s %064x %s\n" % (at, mark, at * 0x9E3779B97F4A7C15, filler))
        yield b"".join(lines)


async def stream(size_mb: int, *, changed: bool = False) -> AsyncIterator[bytes]:
    for block in rows(size_mb, changed):
        yield block
        await asyncio.sleep(0)


async def large(size_mb: int, store: Store) -> dict[str, float]:
    """MiB above idle of a full and of an increment; run in a process of its own."""
    await written(store, "warm", stream(4))
    peaks = {}
    for name in ("full", "increment"):
        Path("/proc/self/clear_refs").write_text("5")
        idle = _peak()
        parent = None
        if name == "increment":
            parent = Parent(await Chain.open([await link(store, "full")], TRUST))
        await written(store, name, stream(size_mb, changed=parent is not None), parent)
        peaks[name] = (_peak() - idle) / 1024
    return peaks


async def slow(size_mb: int, store: S3) -> float:
    """MiB above idle while a store takes 1 MB/s; what cannot be packed, so that it really comes."""
    await written(store, "warm", stream(4))

    async def noise() -> AsyncIterator[bytes]:
        for _ in range(size_mb):
            yield os.urandom(_BLOCK)

    async with _line(store.endpoint, 1_000_000) as endpoint:
        Path("/proc/self/clear_refs").write_text("5")
        idle = _peak()
        await written(msgspec.structs.replace(store, endpoint=endpoint), "slow", noise())
        return (_peak() - idle) / 1024


@asynccontextmanager
async def _line(endpoint: str, bytes_s: int) -> AsyncIterator[str]:
    """A way to the endpoint that takes so many bytes a second, over all its connections."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    turn = asyncio.Lock()

    async def forward(source: asyncio.StreamReader, to: asyncio.StreamWriter, pace: bool) -> None:
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                if pace:
                    async with turn:
                        await asyncio.sleep(len(data) / bytes_s)
                to.write(data)
                await to.drain()
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(host, int(port))
        with suppress(asyncio.CancelledError):  # the bench is over
            await asyncio.gather(forward(reader, ours, True), forward(theirs, writer, False))

    async with listening(serve) as here:
        yield f"http://127.0.0.1:{here}"


def _peak() -> int:
    """VmHWM in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def memory(size_mb: int, folder: Path) -> bool:
    """Of this bench, started anew for each store, so that nothing else counts."""
    good = True
    for kind in ("local", "s3"):
        argv = [sys.executable, "-m", "bench.archives", "--only-memory", kind]
        argv += ["--large-mb", str(size_mb), "--folder", str(folder)]
        told = subprocess.run(argv, capture_output=True, check=True, text=True).stdout.split()
        for name, peak in zip(("full", "increment"), map(float, told), strict=True):
            good &= report(f"memory_{kind}_{name}_{size_mb}_mb", peak, "MiB", at_most=96)
    return good


def memory_slow(folder: Path) -> bool:
    """The same while the store takes 1 MB/s."""
    argv = [sys.executable, "-m", "bench.archives", "--only-memory", "slow"]
    argv += ["--large-mb", "48", "--folder", str(folder)]
    told = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    return report("memory_s3_at_1_mb_per_s", float(told), "MiB", at_most=96)


async def only_memory(kind: str, size_mb: int, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        if kind == "local":
            peaks = await large(size_mb, Local(root=name))
        else:
            with rclone_s3(Path(name) / "s3") as s3:
                if kind == "slow":
                    peaks = {"slow": await slow(size_mb, s3.store())}
                else:
                    peaks = await large(size_mb, s3.store())
    print(*peaks.values())


def _shell(script: str) -> None:
    subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", script], check=True, stdout=subprocess.DEVNULL
    )


def _timed(do: Callable[[], None]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--large-mb", type=int, default=20_480)
    parser.add_argument("--folder", default=None, help="where the archives go")
    parser.add_argument("--only-memory", choices=["local", "s3", "slow"], help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="holdfast-bench-") as name:
        folder = Path(name)
        if options.only_memory:
            asyncio.run(only_memory(options.only_memory, options.large_mb, folder))
            return 0
        dump = folder / "dump"
        write_dump(dump, options.size_mb << 20)
        good = codecs(dump)
        good &= asyncio.run(verification(dump, folder))
        good &= asyncio.run(upload(folder))
        good &= memory_slow(folder)
        for size_mb in (options.size_mb, options.large_mb):
            good &= memory(size_mb, folder)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
