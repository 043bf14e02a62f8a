"""The codecs a frame may be compressed with: one file per codec, one name in the union."""

from __future__ import annotations

from typing import TypeAlias, get_args

from shared.archive.codecs.base import Codec
from shared.archive.codecs.gzip import Gzip
from shared.archive.codecs.lz4 import Lz4
from shared.archive.codecs.plain import Plain
from shared.archive.codecs.zstd import Zstd
from shared.archive.errors import UnsupportedError

AnyCodec: TypeAlias = Plain | Zstd | Lz4 | Gzip


def codec_named(name: str) -> Codec:
    """The codec an archive's header names, or `UnsupportedError`."""
    for kind in get_args(AnyCodec):
        if kind.__struct_config__.tag == name:
            codec: Codec = kind()
            return codec
    raise UnsupportedError("the archive's codec is not known to this release")


__all__ = ["AnyCodec", "Codec", "Gzip", "Lz4", "Plain", "Zstd", "codec_named"]
