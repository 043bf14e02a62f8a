"""Keys as people print and type them, and who believes whom."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.exceptions import InvalidTag

from shared.archive.errors import UntrustedError
from shared.archive.keys import (
    Recipient,
    RecipientKey,
    SigningKey,
    Trust,
    WorkerCertificate,
    certify,
    fingerprint,
)
from shared.errors import InvalidInputError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", [RecipientKey, SigningKey])
def test_a_key_survives_being_printed_and_typed(kind: type[RecipientKey | SigningKey]) -> None:
    key = kind.generate()

    assert kind.parse(key.printed()) == key
    assert kind.parse("  " + key.printed().lower().replace("-", " - ") + "\n") == key


@pytest.mark.parametrize("kind", [RecipientKey, SigningKey])
def test_a_mistyped_key_is_noticed(kind: type[RecipientKey | SigningKey]) -> None:
    printed = kind(bytes(range(32))).printed()

    for at in range(len(printed)):
        if printed[at] == "-":
            continue
        typed = printed[:at] + ("0" if printed[at] != "0" else "1") + printed[at + 1 :]
        with pytest.raises(InvalidInputError):
            kind.parse(typed)
    for typed in ("", "HFKEY1-", printed[:-5], printed + "-0000", "é" * 40):
        with pytest.raises(InvalidInputError):
            kind.parse(typed)


def test_one_kind_of_key_is_not_taken_for_another() -> None:
    with pytest.raises(InvalidInputError):
        RecipientKey.parse(SigningKey.generate().printed())


def test_a_private_key_is_never_shown() -> None:
    for key in (RecipientKey.generate(), SigningKey.generate()):
        shown = repr(key) + str(key)
        assert key.seed.hex() not in shown
        assert repr(key.seed) not in shown


def test_a_seed_always_gives_the_same_key_pair() -> None:
    assert RecipientKey(bytes(32)).public.id == "3bb0b003f553f49f"
    assert fingerprint(SigningKey(bytes(32)).public).startswith("SHA256:")


def test_only_the_recipient_opens_what_was_sealed_and_only_in_its_place() -> None:
    key = RecipientKey.generate()
    public = Recipient.parse(key.public.text())

    sealed = public.seal(b"secret", b"here")

    assert key.open(sealed, b"here") == b"secret"
    assert sealed != public.seal(b"secret", b"here")
    with pytest.raises(InvalidTag):
        key.open(sealed, b"there")
    with pytest.raises(InvalidTag):
        RecipientKey.generate().open(sealed, b"here")


@pytest.mark.parametrize("text", ["", "hfpub1.", "hfpub1.AAAA", "hfpub1.é", "x" * 1629])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Recipient.parse(text)


def test_a_worker_is_believed_only_with_the_word_of_a_trusted_platform() -> None:
    platform, other, worker = (SigningKey.generate() for _ in range(3))
    good = certify(platform, pool="core", public_key=worker.public, issued_at=NOW)
    fields = msgspec.to_builtins(good)

    Trust.of(platform.public).check(fields)
    Trust.of(fingerprint(platform.public), other.public).check(fields)
    with pytest.raises(UntrustedError):
        Trust.of(other.public).check(fields)
    with pytest.raises(UntrustedError):
        Trust.of().check(fields)
    for change in (
        {"pool": "agents"},
        {"public_key": other.public.hex()},
        {"platform_key": other.public.hex()},
        {"signature": f"{int(good.signature, 16) ^ 1:0128x}"},
        {"signature": good.signature.upper()},
        {"issued_at": "2027-01-01T00:00:00Z"},
        {"added": "later"},
    ):
        with pytest.raises(UntrustedError):
            Trust.of(platform.public, other.public).check({**fields, **change})


def test_a_worker_cannot_certify_itself() -> None:
    platform, worker = SigningKey.generate(), SigningKey.generate()
    own = certify(worker, pool="core", public_key=worker.public, issued_at=NOW)
    forged = msgspec.structs.replace(own, platform_key=platform.public.hex())

    for certificate in (own, forged):
        assert isinstance(certificate, WorkerCertificate)
        with pytest.raises(UntrustedError):
            Trust.of(platform.public).check(msgspec.to_builtins(certificate))
