"""Manifests: believed whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.archive.encoding import canonical
from shared.archive.errors import ArchiveError, UnsupportedError, UntrustedError
from shared.archive.keys import SigningKey, Trust, WorkerIdentity, certify
from shared.archive.manifest import About, Body, ObjectRecord, read_manifest, sign_manifest
from tests.support.archives import IDENTITY, PLATFORM, TRUST, WORKER

OBJECTS = tuple(
    ObjectRecord(name=name, size=number, sha256="ab" * 32)
    for number, name in enumerate(("data.0", "data.1", "index", "log"))
)
BODY = Body(
    backup_id="b1",
    attempt="a1",
    about=About(
        engine="postgresql", method="logical", consistency_point='weird "näme"\n\x01\x7f/\u2028'
    ),
    objects=OBJECTS,
    checkpoint="holdfast/audit\n7\nroot\n",
)


def test_a_signed_manifest_comes_back() -> None:
    assert read_manifest(sign_manifest(BODY, IDENTITY).encode(), TRUST) == BODY


def test_canonical_json_is_what_any_language_makes_of_sorted_keys_without_spaces() -> None:
    data = sign_manifest(BODY, IDENTITY).encode()

    again = json.dumps(
        json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()

    assert again == data


def test_every_letter_has_one_spelling_in_canonical_json() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x1F600]))

    data = canonical({"every": every, "Z": 1, "a": [True, None, -1, 1 << 60]})

    assert (
        data
        == json.dumps(
            json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
    )


def flipped_bits(step: int) -> None:
    data = sign_manifest(BODY, IDENTITY).encode()
    for at in range(0, 8 * len(data), step):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ArchiveError):
            read_manifest(bytes(changed), TRUST)


def test_flipped_bits_are_errors() -> None:
    flipped_bits(step=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_flipped_bit_is_an_error() -> None:
    flipped_bits(step=1)


def test_every_cut_and_any_other_spelling_is_an_error() -> None:
    data = sign_manifest(BODY, IDENTITY).encode()

    for other in (*(data[:length] for length in range(len(data))), data + b"\n", b" " + data):
        with pytest.raises(UntrustedError):
            read_manifest(other, TRUST)
    with pytest.raises(UntrustedError):
        read_manifest(json.dumps(json.loads(data)).encode(), TRUST)


def test_another_platforms_or_an_uncertified_workers_manifest_is_not_believed() -> None:
    stranger = SigningKey.generate()
    when = datetime(2026, 1, 1, tzinfo=UTC)
    theirs = certify(stranger, pool="core", public_key=WORKER.public, issued_at=when)
    data = sign_manifest(BODY, IDENTITY).encode()

    for worker in (
        WorkerIdentity(key=WORKER, certificate=theirs),
        WorkerIdentity(key=stranger, certificate=IDENTITY.certificate),
    ):
        with pytest.raises(UntrustedError):
            read_manifest(sign_manifest(BODY, worker).encode(), TRUST)
    with pytest.raises(UntrustedError):
        read_manifest(data, Trust.of(stranger.public))


def test_the_platform_key_itself_signs_no_manifest() -> None:
    forged = WorkerIdentity(key=PLATFORM, certificate=IDENTITY.certificate)

    with pytest.raises(UntrustedError):
        read_manifest(sign_manifest(BODY, forged).encode(), TRUST)


def test_a_field_of_a_later_release_is_signed_and_passed_over() -> None:
    value: dict[str, Any] = json.loads(sign_manifest(BODY, IDENTITY).encode())
    value["body"]["later"] = {"more": 1}
    unsigned = canonical({**value, "signature": ""})
    signature = WORKER.sign(b"holdfast/manifest@v1\x00" + unsigned).hex()

    assert read_manifest(canonical({**value, "signature": signature}), TRUST) == BODY
    with pytest.raises(UntrustedError):
        read_manifest(canonical(value), TRUST)


@pytest.mark.parametrize(
    "names",
    [
        ["index", "log"],
        ["data.1", "index", "log"],
        ["data.0", "data.2", "index", "log"],
        ["data.1", "data.0", "index", "log"],
        ["data.0", "index"],
        ["data.0", "data.0", "index", "log"],
    ],
)
def test_a_list_of_objects_that_no_archive_has_is_refused(names: list[str]) -> None:
    objects = tuple(ObjectRecord(name=name, size=1, sha256="ab" * 32) for name in names)
    body = Body(backup_id="b1", attempt="a1", about=BODY.about, objects=objects)

    with pytest.raises(UnsupportedError):
        read_manifest(sign_manifest(body, IDENTITY).encode(), TRUST)


@pytest.mark.parametrize("name", ["../x", "data.01", "envelope.1", "data.0/..", "manifest", ""])
def test_an_object_with_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    objects = (*OBJECTS[:1], ObjectRecord(name=name, size=1, sha256="ab" * 32), *OBJECTS[2:])
    body = Body(backup_id="b1", attempt="a1", about=BODY.about, objects=objects)

    with pytest.raises(UntrustedError):
        read_manifest(sign_manifest(body, IDENTITY).encode(), TRUST)
