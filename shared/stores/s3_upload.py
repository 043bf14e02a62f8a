"""One object on its way into a bucket: in parts, with a digest of each."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING

from shared.stores.base import ObjectNotFoundError, Stored
from shared.stores.s3_client import named_errors

if TYPE_CHECKING:
    from obstore.store import S3Store

_PART = 8 << 20  # S3 allows 10,000 parts: a 4 GiB volume has 512
_PARTS_IN_FLIGHT = 2


class Upload:
    """One object on its way: parts of a fixed size, a digest of all and one of each part."""

    def __init__(self, objects: S3Store, path: str) -> None:
        import obstore

        self._writer = obstore.open_writer_async(
            objects, path, buffer_size=_PART, max_concurrency=_PARTS_IN_FLIGHT
        )
        self._whole = hashlib.sha256()
        self._part = hashlib.sha256()
        self._part_digests: list[bytes] = []
        self._in_part = 0
        self.size = 0

    @property
    def parts(self) -> int:
        return len(self._part_digests)

    async def write(self, chunk: bytes) -> None:
        with named_errors():
            await asyncio.gather(asyncio.to_thread(self._digest, chunk), self._writer.write(chunk))

    async def close(self) -> bool:
        """Complete the object; False where nobody said whether it is.

        The client aborts an upload whose completion is not answered. One that is not there any
        more was completed then, or somebody else aborted it.
        """
        if self._in_part:
            self._end_part()
        try:
            with named_errors():
                await self._writer.close()
        except ObjectNotFoundError:
            return False
        return True

    def composite(self) -> str:
        """S3's checksum of a multipart object: the digest of its parts' digests."""
        return base64.b64encode(hashlib.sha256(b"".join(self._part_digests)).digest()).decode()

    def stored(self, *, checked: bool) -> Stored:
        return Stored(size=self.size, sha256=self._whole.hexdigest(), checked=checked)

    def _digest(self, chunk: bytes) -> None:
        self._whole.update(chunk)
        self.size += len(chunk)
        view = memoryview(chunk)
        while view:
            piece = view[: _PART - self._in_part]
            self._part.update(piece)
            self._in_part += len(piece)
            view = view[len(piece) :]
            if self._in_part == _PART:
                self._end_part()

    def _end_part(self) -> None:
        self._part_digests.append(self._part.digest())
        self._part = hashlib.sha256()
        self._in_part = 0
