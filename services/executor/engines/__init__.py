"""What is dumped, and how. Adding an engine: one file, one name in the union."""

from __future__ import annotations

from typing import TypeAlias

from services.executor.engines.postgresql import Postgresql
from services.executor.engines.redis import Redis

AnyEngine: TypeAlias = Postgresql | Redis
