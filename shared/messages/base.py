"""The four kinds of message, and how a class becomes its subject."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, TypeAlias
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta
from uuid_utils.compat import uuid7

CORE = "core"
"""The pool of the platform's own executors; every fact that no agent says carries it."""

Key: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A subject token: an id, a pool, a noun. Nothing else may enter a subject."""

_KEY = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


def checked(key: str) -> str:
    """Return `key`, or raise ValueError when it could change the meaning of a subject."""
    if not _KEY.match(key) or key.endswith("\n"):
        raise ValueError(f"not a subject token: {key!r}")
    return key


def words(class_name: str) -> list[str]:
    """Split CamelCase into lower-case words: `ApiKey` -> `["api", "key"]`."""
    return [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", class_name)]


def now() -> datetime:
    return datetime.now(UTC)


def consequence(cause: UUID, purpose: str) -> UUID:
    """The id of what follows from `cause`: the same each time the cause is delivered."""
    return uuid5(cause, purpose)


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every message carries.

    `id` is a UUIDv7 when the message originates here, else `consequence(cause, purpose)`.
    `actor` is an opaque account id, or `service:<name>`. `request_id` joins what one call caused.
    """

    id: UUID = msgspec.field(default_factory=uuid7)
    at: datetime = msgspec.field(default_factory=now)
    actor: str = "system"
    caused_by: UUID | None = None
    request_id: str = ""

    @property
    def type(self) -> str:
        """The tag: `backup.completed`, `setting.server`, `backup.run`, `output.line`."""
        return str(self.__struct_config__.tag)


def _fact_type(class_name: str) -> str:
    noun, *verb = words(class_name)
    return f"{noun}.{'_'.join(verb)}"


class Fact(Message, frozen=True, kw_only=True, tag_field="type", tag=_fact_type):
    """Something happened. The first word of the class is the noun, the rest the verb."""

    KEYED_BY: ClassVar[str]
    pool: Key = CORE

    @property
    def key(self) -> str:
        """The id of the aggregate that the fact is about."""
        return checked(str(getattr(self, self.KEYED_BY)))

    @property
    def subject(self) -> str:
        return f"evt.{self.type}.{checked(self.pool)}.{self.key}"


def _setting_type(class_name: str) -> str:
    return f"setting.{'_'.join(words(class_name)[:-1])}"


class Setting(Message, frozen=True, kw_only=True, tag_field="type", tag=_setting_type):
    """The full new state of a configured thing: `ServerSetting` lives on `cfg.server.<key>`."""

    key: Key

    @property
    def noun(self) -> str:
        return self.type.removeprefix("setting.")

    @property
    def subject(self) -> str:
        return f"cfg.{self.noun}.{checked(self.key)}"


def _order_type(class_name: str) -> str:
    verb, *noun = words(class_name)
    return f"{'_'.join(noun)}.{verb}"


class Order(Message, frozen=True, kw_only=True, tag_field="type", tag=_order_type):
    """Do this, once, by one worker of `pool`: `RunBackup` is `cmd.backup.run.<pool>.<run_id>`.

    An order is self-contained. `sealed` holds an `OrderSecrets`, sealed to the pool's key with
    this order's id and subject as context. A worker refuses an order after `not_after`.
    """

    pool: Key = CORE
    run_id: UUID
    not_after: datetime
    sealed: str

    @property
    def subject(self) -> str:
        return f"cmd.{self.type}.{checked(self.pool)}.{self.run_id}"


def _output_type(class_name: str) -> str:
    return f"output.{'_'.join(words(class_name)[1:])}"


class Output(Message, frozen=True, kw_only=True, tag_field="type", tag=_output_type):
    """What a run says while it runs, on `log.<pool>.<run_id>`."""

    pool: Key = CORE
    run_id: UUID

    @property
    def subject(self) -> str:
        return f"log.{checked(self.pool)}.{self.run_id}"


AnyKind: TypeAlias = Fact | Setting | Order | Output
"""What can be said: every kind has the subject that it is published on."""
