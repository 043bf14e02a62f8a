"""Facts about executions: one run of a command template."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key
from shared.messages.values import Problem


class ExecutionFact(Fact, frozen=True, kw_only=True):
    """About one execution."""

    KEYED_BY: ClassVar[str] = "execution_id"
    execution_id: UUID


class ExecutionRequested(ExecutionFact, frozen=True, kw_only=True):
    """Somebody wants a command template executed on a server. First fact: expects 0.

    `command_version` is the sequence of the template as it was then.
    """

    run_id: UUID
    command_id: str
    command_version: int
    server_id: UUID
    run_pool: Key
    variables: dict[str, str] = {}
    reason: str = ""


class ExecutionFailed(ExecutionFact, frozen=True, kw_only=True):
    """The run ended without success."""

    run_id: UUID
    attempt: int
    problem: Problem
