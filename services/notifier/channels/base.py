"""What every channel does, and why it may not have done it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar, Protocol
from uuid import UUID

import msgspec

from shared.errors import PlatformError


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One fact on its way to one channel.

    `id` is the same each time this delivery is tried, so that a receiver can tell a repeat.
    `text` is one sentence for people; `subject` and `body` are what a template made of it, empty
    without one. All three are plain text: a channel escapes them for what it writes. `event` is
    CloudEvents JSON without lists and tokens.
    """

    id: UUID
    text: str
    event: dict[str, Any]
    subject: str = ""
    body: str = ""


class ChannelError(PlatformError):
    """The channel will never take this note."""

    code = "channel.failed"
    status = HTTPStatus.BAD_GATEWAY


class ReceiverGoneError(ChannelError):
    """The receiver says that it wants no more of these."""

    code = "channel.gone"
    default_fix = "remove the channel, or point it at a receiver that exists"


class RefusedError(ChannelError):
    """The receiver refused this note for good; it may well take others."""

    code = "channel.refused"
    default_fix = "check the sender and the recipients of the channel"


class AddressRefusedError(ChannelError):
    """The receiver's address is one the platform does not talk to."""

    code = "channel.address_refused"
    status = HTTPStatus.BAD_REQUEST
    default_fix = "use a public address, or set `allow_private` if the receiver is your own"


class ChannelSettingsError(ChannelError):
    """The channel's configuration cannot work."""

    code = "channel.settings"
    status = HTTPStatus.BAD_REQUEST


class NotAcceptedError(ChannelError):
    """The receiver did not take the note now; it may later.

    `retry_after_s` is what the receiver asked for, in seconds, or None.
    """

    code = "channel.not_accepted"
    default_fix = "check that the receiver is up and answers 2xx within five seconds"

    def __init__(self, cause: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """A way to tell somebody.

    `FOR_PEOPLE`: repeats of one problem tire them; a program wants to hear each fact.
    """

    FOR_PEOPLE: ClassVar[bool]

    async def send(self, note: Note, *, allow_loopback: bool = False) -> None:
        """Deliver `note` once; returning means the receiver accepted it.

        Takes ten seconds at most. Raises NotAcceptedError when another try makes sense, another
        ChannelError when none does. No error holds a secret, or what the receiver answered.
        `allow_loopback`: everything runs on one machine, so its own addresses are fine.
        """
        ...
