"""The streams and buckets as data: read from the `nats` folder, in the tree or in the wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key-value bucket. `ttl_s`: how long an entry lives after its last write."""

    name: str
    description: str
    ttl_s: float | None = None


def folder() -> Path:
    """Where the data lies: beside this module in an installed wheel, else at the tree's top."""
    packaged = Path(__file__).parent / "nats"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "nats"


@cache
def buckets() -> list[Bucket]:
    return msgspec.json.decode((folder() / "buckets.json").read_bytes(), type=list[Bucket])


def bucket_ttl_s(name: str) -> float | None:
    """The TTL of a bucket; raises KeyError for an unknown one."""
    return {bucket.name: bucket.ttl_s for bucket in buckets()}[name]


def streams() -> list[dict[str, Any]]:
    """The configuration of every stream, as the server takes it."""
    paths = sorted((folder() / "streams").glob("*.json"))
    return [msgspec.json.decode(path.read_bytes()) for path in paths]
