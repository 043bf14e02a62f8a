"""Codecs whose frames say themselves where they end, and so can follow each other."""

from __future__ import annotations

from collections.abc import Callable

from shared.archive.errors import TrailerMismatchError

First = Callable[[bytes, int], tuple[bytes, bytes]]
"""The content of the first frame, of at most so many bytes, and what follows it."""


def unpacked(first: First, packed: bytes, raw_length: int) -> bytes:
    """The content of one frame and nothing else; `TrailerMismatchError` for another length."""
    raw, rest = first(packed, raw_length)
    if rest or len(raw) != raw_length:
        raise TrailerMismatchError("a frame is not as long as the frame table says")
    return raw


def all_unpacked(first: First, packed: bytes, raw_length: int) -> bytes:
    """The content of frames one behind the other; `TrailerMismatchError` for another length."""
    out, left = [], raw_length
    while packed:
        raw, packed = first(packed, left)
        out.append(raw)
        left -= len(raw)
    if left:
        raise TrailerMismatchError("the frames hold another number of bytes than recorded")
    return b"".join(out)
