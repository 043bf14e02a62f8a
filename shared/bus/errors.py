"""What can go wrong on the bus besides a wrong sequence."""

from __future__ import annotations

from http import HTTPStatus

from shared.errors import PlatformError, UnavailableError


class NoAnswerError(UnavailableError):
    """NATS, or whoever was asked, did not answer in time."""

    code = "bus.no_answer"


class BusForbiddenError(PlatformError):
    """The permissions of this user do not list the subject."""

    code = "bus.forbidden"
    default_fix = "compare the service with nats/permissions.conf"


class BusRefusedError(PlatformError):
    """The server understood and refused: a limit, or a wrong configuration."""

    code = "bus.refused"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    default_fix = "see the server's log; run `holdfast status`"


class ConsumerGoneError(UnavailableError):
    """The consumer that was read does not exist any more; the reader makes a new one."""

    code = "bus.consumer_gone"
