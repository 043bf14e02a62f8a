"""Every error the platform raises on purpose: a stable code, a cause, a likely fix."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class PlatformError(Exception):
    """An expected failure.

    `code` is stable and documented (`docs/errors.md`), `status` is how HTTP says it, `retryable`
    tells a handler to try the delivery again later. `cause` is one sentence for the person who
    reads it, `fix` is what they can most likely do. Neither may hold a secret.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    retryable: ClassVar[bool] = False
    default_fix: ClassVar[str] = ""

    def __init__(self, cause: str, *, fix: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = self.default_fix if fix is None else fix

    def __str__(self) -> str:
        return f"{self.cause} ({self.fix})" if self.fix else self.cause


class InvalidInputError(PlatformError):
    """The caller's input cannot be right."""

    code = "input.invalid"
    status = HTTPStatus.BAD_REQUEST


class NotFoundError(PlatformError):
    """The named thing does not exist, or the caller may not see it."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class ConflictError(PlatformError):
    """The state changed meanwhile, or the name is taken."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class UnauthenticatedError(PlatformError):
    """Nobody is signed in."""

    code = "auth.required"
    status = HTTPStatus.UNAUTHORIZED
    default_fix = "sign in, or send a valid bearer token"


class ForbiddenError(PlatformError):
    """The account may not do this."""

    code = "auth.forbidden"
    status = HTTPStatus.FORBIDDEN


class UnavailableError(PlatformError):
    """Something the platform needs does not answer now; nothing was stored."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True
    default_fix = "try again in a few seconds; `holdfast status` shows what is down"


def leaves(group: BaseExceptionGroup[PlatformError]) -> list[PlatformError]:
    """The errors of a group, however deep it nests."""
    found: list[PlatformError] = []
    for error in group.exceptions:
        found.extend(leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
