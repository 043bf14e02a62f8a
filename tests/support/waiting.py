"""Waiting for what becomes true soon, without sleeping for a fixed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

LOOK_EVERY_S = 0.02


async def eventually(
    check: Callable[[], Value | Awaitable[Value]], *, within: float = 10.0, what: str = ""
) -> Value:
    """Ask until the answer is true (an AssertionError counts as not yet); return the answer.

    Raises AssertionError after `within` seconds, with the last answer.
    """
    deadline = time.monotonic() + within
    while True:
        problem: AssertionError | None = None
        answer = None
        try:
            asked = check()
            answer = await asked if inspect.isawaitable(asked) else asked
        except AssertionError as error:
            problem = error
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{what or inspect.getsource(check).strip()}: not within {within} s; "
                f"last answer: {problem or answer!r}"
            ) from problem
        await asyncio.sleep(LOOK_EVERY_S)


def eventually_sync(check: Callable[[], Value], *, within: float = 10.0) -> Value:
    """The same for a test without an event loop."""
    deadline = time.monotonic() + within
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {within} s; last answer: {answer!r}"
        time.sleep(LOOK_EVERY_S)
    return answer
