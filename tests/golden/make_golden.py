"""Made the golden archives, once for each release of the format; never run over existing ones.

    python -m tests.golden.make_golden

File ids, salts and encapsulations are random, so a second run makes other bytes: the archives
themselves are the fixtures, this script says what is in them.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from shared.archive.codecs import AnyCodec, Plain, Zstd
from tests.support.archives import local, make_plan, text, write

HERE = Path(__file__).parent
RAW_BYTES = 18_000  # more than one chunk of 16 KiB
PASSPHRASE = "correct horse bättery staple"
CODECS: dict[str, AnyCodec] = {"v1-zstd": Zstd(), "v1-none": Plain()}


async def make(name: str, codec: AnyCodec, raw: bytes) -> None:
    plan = make_plan(codec=codec, passphrase=PASSPHRASE, frame_bytes=8_000, volume_bytes=10_000)
    await write(local(HERE / name), raw, plan)


async def main() -> None:
    raw = text(RAW_BYTES, seed=1)
    with (HERE / "raw.txt").open("xb") as file:
        file.write(raw)
    for name, codec in CODECS.items():
        await make(name, codec, raw)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE)}\n"
        for path in sorted(HERE.glob("v1-*/**/*"))
        if path.is_file()
    ]
    (HERE / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    asyncio.run(main())
