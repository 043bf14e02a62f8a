"""The dashboard's files, as its build left them: held in memory, so a path is only ever a name."""

from __future__ import annotations

import gzip
import mimetypes
from functools import cache
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "dashboard"
ENTRY = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types vue"
)
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
SMALLEST_BYTES = 1024
"""What is smaller does not get smaller on the wire."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file, also compressed where that helps."""

    media_type: str
    content: bytes
    compressed: bytes | None
    cache_control: str


class Pages:
    """What the build made. Without a build there is nothing in it, and `built` says so."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _file(path, folder)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @property
    def built(self) -> bool:
        return ENTRY in self._files

    def file(self, name: str) -> File | None:
        """The file of that name."""
        return self._files.get(name)

    @property
    def entry(self) -> File:
        """The page that every address of the dashboard begins with."""
        return self._files[ENTRY]


@cache
def pages() -> Pages:
    """The dashboard of this installation, read once."""
    return Pages()


def _file(path: Path, folder: Path) -> File:
    content = path.read_bytes()
    # The build names what is in assets/ by its content; the rest keeps its name and changes.
    hashed = path.relative_to(folder).parts[0] == "assets"
    kind = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    return File(
        media_type=kind,  # the framework adds the character set
        content=content,
        compressed=gzip.compress(content, mtime=0) if len(content) >= SMALLEST_BYTES else None,
        cache_control=FOR_EVER if hashed else ASK_AGAIN,
    )
