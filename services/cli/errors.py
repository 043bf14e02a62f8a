"""How the command line fails: one exit code per way."""

from __future__ import annotations

from http import HTTPStatus

from shared.errors import PlatformError

OK, FAILED, USAGE, REFUSED, MISSING, CONFLICT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: USAGE,
    HTTPStatus.UNAUTHORIZED: REFUSED,
    HTTPStatus.FORBIDDEN: REFUSED,
    HTTPStatus.TOO_MANY_REQUESTS: REFUSED,
    HTTPStatus.NOT_FOUND: MISSING,
    HTTPStatus.GONE: MISSING,
    HTTPStatus.CONFLICT: CONFLICT,
    HTTPStatus.PRECONDITION_FAILED: CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY: CONFLICT,
    HTTPStatus.SERVICE_UNAVAILABLE: UNREACHABLE,
}


class AnsweredError(PlatformError):
    """The gateway answered with a problem; `problem_code` is its stable code."""

    code = "cli.refused"

    def __init__(self, status: int, problem_code: str, cause: str, *, fix: str = "") -> None:
        super().__init__(cause, fix=fix)
        self.exit_code = _BY_STATUS.get(HTTPStatus(status), FAILED)
        self.problem_code = problem_code


class UnreachableError(PlatformError):
    """Nobody answers at the gateway's address."""

    code = "cli.unreachable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    default_fix = (
        "start it with `holdfast up`, or name it by HOLDFAST_URL or `holdfast login --url`"
    )


class NotSignedInError(PlatformError):
    """No token is known for the gateway."""

    code = "cli.not_signed_in"
    status = HTTPStatus.UNAUTHORIZED
    default_fix = "run `holdfast login`, or set HOLDFAST_TOKEN_FILE"


class InClearError(PlatformError):
    """A password or token would cross a network in clear."""

    code = "cli.in_clear"
    status = HTTPStatus.BAD_REQUEST
    default_fix = "use an https:// address"


class UnknownNameError(PlatformError):
    """Nothing has this name or id."""

    code = "cli.unknown_name"
    status = HTTPStatus.NOT_FOUND


class BadArgumentError(PlatformError):
    """An argument cannot be right."""

    code = "cli.bad_argument"
    status = HTTPStatus.BAD_REQUEST


class RunFailedError(PlatformError):
    """The run that was waited for did not complete."""

    code = "cli.run_failed"


def exit_code_of(error: PlatformError) -> int:
    """The documented exit code for an error."""
    if isinstance(error, AnsweredError):
        return error.exit_code
    return _BY_STATUS.get(error.status, FAILED)
