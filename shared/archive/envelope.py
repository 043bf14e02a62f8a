"""The envelope: the archive key, sealed to every recipient that may open the archive."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.archive.encoding import canonical, from_text, read_canonical, shaped, to_text
from shared.archive.errors import (
    EnvelopeTamperedError,
    NoKeyError,
    UnsupportedError,
    WrongKeyError,
)
from shared.archive.keys import Recipient, RecipientKey

_Stanza = TypeVar("_Stanza", "HpkeStanza", "PassphraseStanza")
ARCHIVE_KEY_BYTES = 32
_DOMAIN = b"holdfast/envelope@v1\x00"
# A hostile envelope must not cost more than this to refuse.
_MAX_MEMORY_KIB, _MAX_PASSES, _MAX_LANES = 1 << 20, 16, 16


class HpkeStanza(msgspec.Struct, tag="hpke", tag_field="kind", frozen=True, kw_only=True):
    """The archive key, sealed to a public key. `sealed`: encapsulated key and ciphertext."""

    recipient: str
    sealed: str
    kem: Literal["MLKEM768-X25519"] = "MLKEM768-X25519"


class PassphraseStanza(msgspec.Struct, tag="argon2id", tag_field="kind", frozen=True, kw_only=True):
    """The archive key under AES-256-GCM with a key Argon2id makes of a passphrase (NFC, UTF-8).

    `sealed`: nonce (12) and ciphertext.
    """

    salt: str
    sealed: str
    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 1


class _Fields(msgspec.Struct, frozen=True):
    """What every envelope has; stanzas of kinds we do not know are passed over."""

    backup_id: str
    attempt: str
    number: int
    file_ids: dict[str, str]
    stanzas: list[dict[str, Any]]
    mac: str
    format: Literal["HFB1"]


class Envelope:
    """One `envelope.<n>`. `mac` (hex) is under a key made of the archive key."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value
        fields = shaped(value, _Fields)
        self.backup_id, self.attempt = fields.backup_id, fields.attempt
        self.number, self.file_ids = fields.number, fields.file_ids
        self._stanzas, self._mac = fields.stanzas, fields.mac

    def encode(self) -> bytes:
        return canonical(self._value)

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        try:
            return cls(read_canonical(data))
        except ValueError as error:
            raise EnvelopeTamperedError("the envelope is not well formed") from error

    def open(self, *keys: RecipientKey) -> bytes:
        """The archive key, by any of `keys`. `NoKeyError` or `EnvelopeTamperedError`."""
        mine = {key.public.id: key for key in keys}
        for stanza in self._of_kind(HpkeStanza):
            if stanza.recipient in mine:
                return self._authentic(_open_hpke(stanza, mine[stanza.recipient], self._info()))
        raise NoKeyError("the envelope is not sealed to this key")

    @property
    def recipients(self) -> tuple[str, ...]:
        """The ids of the public keys it is sealed to, in order; said by whoever wrote it."""
        return tuple(stanza.recipient for stanza in self._of_kind(HpkeStanza))

    @property
    def others(self) -> tuple[dict[str, Any], ...]:
        """The stanzas that are no public key's: they hold for every envelope of the archive."""
        return tuple(one for one in self._stanzas if one.get("kind") != "hpke")

    def open_with_passphrase(self, passphrase: str) -> bytes:
        """Like `open`, or `WrongKeyError`; slow on purpose, so call it in a thread."""
        for stanza in self._of_kind(PassphraseStanza):
            return self._authentic(_open_passphrase(stanza, passphrase, self._info()))
        raise NoKeyError("the envelope is not sealed to a passphrase")

    def _of_kind(self, kind: type[_Stanza]) -> Iterator[_Stanza]:
        for stanza in self._stanzas:
            if stanza.get("kind") == kind.__struct_config__.tag:
                try:
                    yield shaped(stanza, kind)
                except ValueError as error:
                    raise EnvelopeTamperedError("a stanza is not well formed") from error

    def _info(self) -> bytes:
        """What every stanza is bound to, so that none fits another archive."""
        return _info(self.backup_id, self.attempt, self.file_ids)

    def _authentic(self, archive_key: bytes) -> bytes:
        if not bytes_eq(_mac(archive_key, self._value).encode(), self._mac.encode()):
            raise EnvelopeTamperedError("the envelope was changed since it was written")
        return archive_key


def seal_envelope(  # noqa: PLR0913 - each is one field of the envelope
    archive_key: bytes,
    *,
    backup_id: str,
    attempt: str,
    number: int,
    file_ids: dict[str, str],
    recipients: tuple[Recipient, ...],
    passphrase: str | None = None,
    kept: tuple[dict[str, Any], ...] = (),
) -> Envelope:
    """A new envelope. Also how keys rotate: the same archive key, the next number, new recipients.

    At least one recipient or a passphrase; slow with a passphrase. `kept` are stanzas of an earlier
    envelope of the archive that go on to open it (`Envelope.others`).
    """
    info = _info(backup_id, attempt, file_ids)
    stanzas: list[dict[str, Any]] = [
        msgspec.to_builtins(
            HpkeStanza(recipient=one.id, sealed=to_text(one.seal(archive_key, info)))
        )
        for one in recipients
    ]
    stanzas += kept
    if passphrase is not None:
        stanzas.append(msgspec.to_builtins(_seal_passphrase(archive_key, passphrase, info)))
    if not stanzas:
        raise NoKeyError("an archive must be sealed to at least one key")
    value: dict[str, Any] = {
        "attempt": attempt,
        "backup_id": backup_id,
        "file_ids": file_ids,
        "format": "HFB1",
        "mac": "",
        "number": number,
        "stanzas": stanzas,
    }
    return Envelope({**value, "mac": _mac(archive_key, value)})


def _info(backup_id: str, attempt: str, file_ids: dict[str, str]) -> bytes:
    return _DOMAIN + canonical({"attempt": attempt, "backup_id": backup_id, "file_ids": file_ids})


def _mac(archive_key: bytes, value: dict[str, Any]) -> str:
    key = HKDF(SHA512(), 32, salt=None, info=b"holdfast/envelope-mac@v1").derive(archive_key)
    mac = HMAC(key, SHA256())
    mac.update(_DOMAIN + canonical({**value, "mac": ""}))
    return mac.finalize().hex()


def _open_hpke(stanza: HpkeStanza, key: RecipientKey, info: bytes) -> bytes:
    try:
        return key.open(from_text(stanza.sealed), info)
    except (InvalidTag, ValueError) as error:
        raise EnvelopeTamperedError("the stanza for this key was changed") from error


def _open_passphrase(stanza: PassphraseStanza, passphrase: str, info: bytes) -> bytes:
    if not (
        8 <= stanza.memory_kib <= _MAX_MEMORY_KIB
        and 1 <= stanza.passes <= _MAX_PASSES
        and 1 <= stanza.lanes <= _MAX_LANES
    ):
        raise UnsupportedError("the envelope asks for more work than a passphrase may cost")
    try:
        sealed = from_text(stanza.sealed)
        key = _stretch(passphrase, stanza)
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], info)
    except InvalidTag as error:
        raise WrongKeyError("the passphrase does not open this archive") from error
    except ValueError as error:
        raise EnvelopeTamperedError("the passphrase stanza was changed") from error


def _seal_passphrase(archive_key: bytes, passphrase: str, info: bytes) -> PassphraseStanza:
    blank = PassphraseStanza(salt=secrets.token_hex(16), sealed="")
    nonce = secrets.token_bytes(12)
    sealed = nonce + AESGCM(_stretch(passphrase, blank)).encrypt(nonce, archive_key, info)
    return msgspec.structs.replace(blank, sealed=to_text(sealed))


def _stretch(passphrase: str, stanza: PassphraseStanza) -> bytes:
    return Argon2id(
        salt=bytes.fromhex(stanza.salt),
        length=32,
        iterations=stanza.passes,
        lanes=stanza.lanes,
        memory_cost=stanza.memory_kib,
    ).derive(unicodedata.normalize("NFC", passphrase).encode())
