"""The settings of command templates."""

from __future__ import annotations

import msgspec

from shared.messages.base import Setting


class CommandVariable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A blank of a template: `{{ name }}`. `type`: text, integer, boolean or choice."""

    name: str
    type: str = "text"
    description: str = ""
    required: bool = True
    default: str | None = None
    choices: list[str] = []


class CommandSetting(Setting, frozen=True, kw_only=True):
    """A saved command with blanks. `kind`: shell, docker or kubernetes; `roles` may execute it."""

    name: str
    description: str = ""
    kind: str
    template: str
    variables: list[CommandVariable] = []
    timeout_s: int = 300
    roles: list[str] = []
