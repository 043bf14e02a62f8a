"""Which end a delivery takes: done with, again later, dead-lettered, or left alone."""

from __future__ import annotations

import traceback
from enum import Enum

import msgspec
import structlog

from shared import metrics, trace
from shared.bus.base import Delivery, Handler, LeaveDelivery
from shared.bus.subjects import kind_of
from shared.errors import PlatformError

_log = structlog.get_logger()


class Redelivery(msgspec.Struct, frozen=True):
    """The pace of repeats. `silence_s`: a worker that says nothing for so long is taken as dead."""

    silence_s: float = 30.0
    delays_s: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
    max_tries: int = 8

    @property
    def heartbeat_s(self) -> float:
        """How often a running handler is announced to the server."""
        return self.silence_s / 3

    def delay_s(self, tries: int) -> float:
        """How long to wait after the given number of tries; grows, then stays."""
        return self.delays_s[min(tries, len(self.delays_s)) - 1]


class End(Enum):
    """What becomes of a delivery."""

    DONE = "done"
    AGAIN = "again"
    DEAD = "dead"
    LEFT = "left"


class Verdict(msgspec.Struct, frozen=True):
    """The end of one delivery; `code` and `cause` say why it is dead or comes again."""

    end: End
    code: str = ""
    cause: str = ""


async def handled(delivery: Delivery, handler: Handler, pace: Redelivery) -> Verdict:
    """Run the handler and judge; never raises but CancelledError.

    What the handler says and logs belongs to the trace of the delivery.
    """
    with trace.continued(delivery.headers, lambda: kind_of(delivery.subject)):
        verdict = await _judged(delivery, handler, pace)
    metrics.HANDLED.labels(verdict.end.value).inc()
    return verdict


async def _judged(delivery: Delivery, handler: Handler, pace: Redelivery) -> Verdict:
    try:
        await handler(delivery)
    except LeaveDelivery:
        return Verdict(End.LEFT)
    except PlatformError as error:
        end = End.AGAIN if error.retryable else End.DEAD
        return Verdict(end, error.code, error.cause)
    except Exception as error:
        # Not on purpose, hence a bug. Its text stays out of the log: it may hold anything.
        place = "".join(traceback.format_tb(error.__traceback__, limit=-6))
        name = type(error).__name__
        _log.error("handler_failed", subject=delivery.subject, error=name, place=place)
        end = End.DEAD if delivery.tries >= pace.max_tries else End.AGAIN
        return Verdict(end, "internal", f"the handler raised {name}")
    return Verdict(End.DONE)
