"""Where tools run. Adding a runner: one file, one name in the union."""

from __future__ import annotations

from typing import TypeAlias

from services.executor.runners.local import Local

AnyRunner: TypeAlias = Local
