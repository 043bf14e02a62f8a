"""Creating once: the same Idempotency-Key of one account never creates two things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid5

import msgspec
from litestar import Request, Response
from uuid_utils.compat import uuid7

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError, KeyReusedError
from shared.errors import PlatformError

NAMESPACE = UUID("6f6c6466-6173-5f74-8000-69646d706f74")
HEADER = "Idempotency-Key"
LONGEST_KEY = 255


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a create answers: a public representation, and where the thing is found."""

    status: int
    body: msgspec.Raw
    location: str
    etag: str = ""


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a key, and a keyed hash of the request it belongs to."""

    fingerprint: str
    answer: Answer


Create = Callable[[UUID], Awaitable[Answer]]


def answer(status: int, body: Any, location: str, *, version: int | None = None) -> Answer:
    """An answer whose body is encoded here, so that a repeat says the very same."""
    return Answer(
        status=status,
        body=msgspec.Raw(msgspec.json.encode(body)),
        location=location,
        etag="" if version is None else f'"{version}"',
    )


async def once(
    request: Request[Any, Any, Any], deps: Dependencies, caller: Caller, create: Create
) -> Response[Any]:
    """Run `create` with the id of the new thing, or repeat the answer it gave before.

    With an Idempotency-Key the id follows from account, route and key, and the thing's first event
    expects that nothing stands there: that holds for ever, on every replica. The remembered
    answer, which lives as long as the bucket's TTL, only makes the repeat literally the same.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return _response(await create(uuid7()))
    thing = _thing_of(caller, request.scope["method"], request.scope["path"], key)
    bucket, fingerprint = deps.bus.kv("idempotency"), await _fingerprint(request, deps)
    entry = await bucket.get(thing.hex)
    if entry is not None and entry.value is not None:
        known = msgspec.json.decode(entry.value, type=_Remembered)
        if known.fingerprint != fingerprint:
            raise KeyReusedError("this Idempotency-Key was used for a different request")
        return _response(known.answer, repeated=True)
    made = await create(thing)
    await _remember(deps, thing, _Remembered(fingerprint=fingerprint, answer=made))
    return _response(made)


def first_id(thing: UUID) -> UUID:
    """The id of the first event of a created thing: the same each time its key is sent."""
    return uuid5(thing, "first")


def _thing_of(caller: Caller, method: str, path: str, key: str) -> UUID:
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        fault = InputFault(f"header:{HEADER}", f"1 to {LONGEST_KEY} printable characters")
        raise InvalidFieldsError(f"the {HEADER} is not usable", [fault])
    return uuid5(NAMESPACE, "\0".join((caller.user_id, method, path, key)))


async def _fingerprint(request: Request[Any, Any, Any], deps: Dependencies) -> str:
    body = msgspec.json.decode(await request.body() or b"null")
    canonical = msgspec.json.encode(body, order="deterministic")
    return deps.secret.digest("idempotency", canonical).hex()


async def _remember(deps: Dependencies, thing: UUID, remembered: _Remembered) -> None:
    try:
        await deps.bus.kv("idempotency").create(thing.hex, msgspec.json.encode(remembered))
    except (PlatformError, TimeoutError):
        # The thing exists: failing now would only make the caller ask again. The id that
        # follows from the key still makes the repeat harmless.
        return


def _response(made: Answer, *, repeated: bool = False) -> Response[Any]:
    headers = {"Location": made.location}
    if made.etag:
        headers["ETag"] = made.etag
    if repeated:
        headers["Idempotency-Replayed"] = "true"
    return Response(
        bytes(made.body), status_code=made.status, headers=headers, media_type="application/json"
    )
