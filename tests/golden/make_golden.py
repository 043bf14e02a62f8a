"""Made the golden archives, once for each form of the format; leaves those that exist alone.

    python -m tests.golden.make_golden

File ids, salts and encapsulations are random, so a second run makes other bytes: the archives
themselves are the fixtures, this script says what is in them.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from shared.archive.codecs import AnyCodec, Gzip, Lz4, Plain, Zstd
from shared.archive.cut import CutParameters
from tests.support.archives import local, make_plan, text, write, write_increment

HERE = Path(__file__).parent
RAW_BYTES = 18_000  # more than one chunk of 16 KiB
PASSPHRASE = "correct horse bättery staple"
CODECS: dict[str, AnyCodec] = {
    "v1-zstd": Zstd(),
    "v1-none": Plain(),
    "v1-gzip": Gzip(),
    "v1-lz4": Lz4(),
}
CHAIN = "v1-chain"
CHAINED = ("increment2", "increment1", "full")
"""The backups of the chain, the newest first."""


async def make(name: str, codec: AnyCodec, raw: bytes) -> None:
    plan = make_plan(codec=codec, passphrase=PASSPHRASE, frame_bytes=8_000, volume_bytes=10_000)
    await write(local(HERE / name), raw, plan)


def chained(raw: bytes) -> dict[str, bytes]:
    """What each archive of the golden chain holds: changed in the middle, moved and grown."""
    first = raw[:9_000] + b"changed" + raw[9_007:]
    return {"full": raw, "increment1": first, "increment2": b"grown " + first[12_000:] + first}


async def make_chain(raw: bytes) -> None:
    store, written = local(HERE / CHAIN), list[str]()
    cut = CutParameters(minimum=64, average=256, maximum=1024)
    for name, content in chained(raw).items():
        plan = make_plan(backup_id=name, cut=cut, frame_bytes=4_000, volume_bytes=10_000)
        if written:
            await write_increment(store, content, plan, *written)
        else:
            await write(store, content, plan)
        written.insert(0, name)


async def main() -> None:
    raw = text(RAW_BYTES, seed=1)
    if not (HERE / "raw.txt").exists():
        (HERE / "raw.txt").write_bytes(raw)
    for name, codec in CODECS.items():
        if not (HERE / name).exists():
            await make(name, codec, raw)
    if not (HERE / CHAIN).exists():
        await make_chain(raw)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE)}\n"
        for path in sorted(HERE.glob("v1-*/**/*"))
        if path.is_file()
    ]
    (HERE / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    asyncio.run(main())
