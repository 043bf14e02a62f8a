"""Key-value buckets: one stream each, a message per key, read and written by subject."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
from nats.js.errors import APIError

from shared.bus.base import Delivery, Entry
from shared.bus.connection import Connection
from shared.bus.errors import BusRefusedError, NoAnswerError
from shared.bus.publishing import LAST_SEQ, WRONG_SEQUENCE, Raw, publish_raw
from shared.bus.reading import LAST_OF_EACH, Reader
from shared.bus.subjects import checked_subject

WITHIN_S = 10.0
_GONE = ("KV-Operation", "Nats-Marker-Reason")
_KEEPS = ("PUT", "")


class Standing(msgspec.Struct, frozen=True):
    """The last message of a key: `value` is None where it is a mark of deletion or expiry."""

    value: bytes | None
    revision: int
    id: str


class JetStreamKv:
    """A `Kv` over the stream `KV_<bucket>`."""

    def __init__(self, bucket: str, connection: Connection, reader: Reader) -> None:
        self._stream, self._prefix = f"KV_{bucket}", f"$KV.{bucket}."
        self._connection, self._reader = connection, reader

    async def get(self, key: str) -> Entry | None:
        found = await self._standing(key)
        if found is None or found.value is None:
            return None
        return Entry(key, found.value, found.revision)

    async def put(self, key: str, value: bytes) -> int:
        seq = await self._write(key, value, {})
        assert seq is not None, "a write without an expectation is never refused"
        return seq

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int | None:
        headers = {"Nats-Msg-Id": uuid4().hex, **_ttl(ttl_s)}
        seq = await self._write(key, value, {**headers, LAST_SEQ: "0"})
        if seq is not None:
            return seq
        found = await self._standing(key)
        if found is None:
            return await self._write(key, value, {**headers, LAST_SEQ: "0"})
        if found.value is not None:
            return None
        return await self._write(key, value, {**headers, LAST_SEQ: str(found.revision)})

    async def update(
        self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None
    ) -> int | None:
        return await self._write(key, value, {LAST_SEQ: str(revision), **_ttl(ttl_s)})

    async def delete(self, key: str) -> None:
        await self._write(key, b"", {"KV-Operation": "DEL"})

    async def keys(self, prefix: str = "") -> list[str]:
        whole, _, _ = prefix.rpartition(".")
        pattern = f"{self._prefix}{whole}.>" if whole else f"{self._prefix}>"
        start = {**LAST_OF_EACH, "headers_only": True}
        found = await self._reader.standing(self._stream, pattern, start)
        entries = [self._entry(delivery) for delivery in found]
        living = [entry.key for entry in entries if entry.value is not None]
        return sorted(key for key in living if key.startswith(prefix))

    async def watch(self, pattern: str = ">") -> AsyncIterator[Entry | None]:
        subject, seen = self._prefix + pattern, 0
        now = await self._reader.standing(self._stream, subject, LAST_OF_EACH)
        for delivery in now:
            seen = delivery.seq
            entry = self._entry(delivery)
            if entry.value is not None:
                yield entry
        yield None
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": seen + 1}
        async for delivery in self._reader.follow(self._stream, [subject], start, after_seq=seen):
            yield self._entry(delivery)

    async def _standing(self, key: str) -> Standing | None:
        subject = checked_subject(self._prefix + key)
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while True:
            try:
                link = await self._connection.link()
                where = f"{link.api}.DIRECT.GET.{self._stream}.{subject}"
                answer = await link.request(where)
                break
            except NoAnswerError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(0.1)
        headers = answer.headers or {}
        if headers.get("Status") == "404":
            return None
        value = None if _is_gone(headers) else answer.data
        return Standing(value, int(headers["Nats-Sequence"]), headers.get("Nats-Msg-Id", ""))

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int | None:
        """Write once; None where the expectation in `headers` does not hold."""
        subject = checked_subject(self._prefix + key)
        one = Raw(subject, {"Nats-Msg-Id": uuid4().hex, **headers}, value)
        deadline, unsure = asyncio.get_running_loop().time() + WITHIN_S, False
        while True:
            try:
                return (await publish_raw(await self._connection.link(), one)).seq
            except APIError as error:
                if error.err_code not in WRONG_SEQUENCE:
                    raise BusRefusedError(f"{subject}: {error.description}") from error
                return await self._ours(key, one) if unsure else None
            except NoAnswerError:
                unsure = True
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _ours(self, key: str, one: Raw) -> int | None:
        """After a time-out a refusal may mean that the first try had landed."""
        found = await self._standing(key)
        landed = found is not None and found.id == one.headers["Nats-Msg-Id"]
        return found.revision if found is not None and landed else None

    def _entry(self, delivery: Delivery) -> Entry:
        value = None if _is_gone(delivery.headers) else delivery.data
        return Entry(delivery.subject.removeprefix(self._prefix), value, delivery.seq)


def _is_gone(headers: dict[str, str]) -> bool:
    return any(headers.get(name, "") not in _KEEPS for name in _GONE)


def _ttl(ttl_s: float | None) -> dict[str, str]:
    return {} if ttl_s is None else {"Nats-TTL": f"{int(ttl_s * 1000)}ms"}
