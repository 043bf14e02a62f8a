"""The keys of archives: recipients that open them, and the signatures that vouch for them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash

from shared.archive.encoding import canonical, from_hex, from_text, shaped, to_text
from shared.archive.errors import UntrustedError
from shared.errors import InvalidInputError
from shared.keys.printed import printed, typed

SEED_BYTES = 32
_MLKEM_PUBLIC = 1184
_CERTIFICATE_DOMAIN = b"holdfast/worker-certificate@v1\x00"
_PUBLIC_TAG = "hfpub1."
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class RecipientKey(msgspec.Struct, frozen=True, dict=True):
    """A private key that opens envelopes, kept as a seed of 32 bytes.

    The seed is stretched by SHAKE-256 into an ML-KEM-768 seed (64 bytes) and an X25519 key (32),
    as the X-Wing KEM does.
    """

    seed: bytes

    def __post_init__(self) -> None:
        _require_seed(self.seed)

    def __repr__(self) -> str:
        return f"RecipientKey(id={self.public.id})"

    @classmethod
    def generate(cls) -> RecipientKey:
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> RecipientKey:
        """From the printed form; `InvalidInputError` where a character was mistyped."""
        return cls(typed("HFKEY1", text))

    def printed(self) -> str:
        """The form on the recovery sheet: groups of four, with a checksum. A secret."""
        return printed("HFKEY1", self.seed)

    @cached_property
    def public(self) -> Recipient:
        mlkem_key, x25519_key = self._halves
        return Recipient(
            mlkem_key.public_key().public_bytes_raw() + x25519_key.public_key().public_bytes_raw()
        )

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """What `Recipient.seal` sealed with the same `info`; `InvalidTag` for anything else."""
        return _SUITE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(*self._halves), info)

    @property
    def _halves(self) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        stretch = Hash(SHAKE256(96))
        stretch.update(self.seed)
        stretched = stretch.finalize()
        return (
            mlkem.MLKEM768PrivateKey.from_seed_bytes(stretched[:64]),
            x25519.X25519PrivateKey.from_private_bytes(stretched[64:]),
        )


class Recipient(msgspec.Struct, frozen=True):
    """A public key archives are sealed to: ML-KEM-768 (1184 bytes), then X25519 (32)."""

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) != _MLKEM_PUBLIC + 32:
            raise InvalidInputError("a recipient's public key has 1216 bytes")

    def __repr__(self) -> str:
        return f"Recipient(id={self.id})"

    @property
    def id(self) -> str:
        """What a stanza calls this recipient: 16 hex digits of the key's SHA-256."""
        return hashlib.sha256(self.key).hexdigest()[:16]

    @classmethod
    def parse(cls, text: str) -> Recipient:
        try:
            return cls(from_text(text.strip().removeprefix(_PUBLIC_TAG)))
        except ValueError as error:
            raise InvalidInputError("this is not a recipient's public key") from error

    def text(self) -> str:
        """One line, for settings and messages."""
        return _PUBLIC_TAG + to_text(self.key)

    def seal(self, secret: bytes, info: bytes) -> bytes:
        """HPKE, base mode, single shot: encapsulated key, then ciphertext."""
        public = hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(self.key[:_MLKEM_PUBLIC]),
            x25519.X25519PublicKey.from_public_bytes(self.key[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(secret, public, info)


class SigningKey(msgspec.Struct, frozen=True):
    """An Ed25519 key: the platform's (certifies workers) or a worker's (signs manifests)."""

    seed: bytes

    def __post_init__(self) -> None:
        _require_seed(self.seed)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:16]})"

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        return cls(typed("HFSIG1", text))

    def printed(self) -> str:
        """Like `RecipientKey.printed`. A secret."""
        return printed("HFSIG1", self.seed)

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


class WorkerCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's word that a worker of a pool may sign manifests. Keys and signature: hex."""

    pool: str
    public_key: str
    platform_key: str
    issued_at: datetime
    signature: str


class WorkerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker signs with."""

    key: SigningKey
    certificate: WorkerCertificate


class Trust(msgspec.Struct, frozen=True):
    """The platform keys a reader believes, by fingerprint."""

    fingerprints: frozenset[str]

    @classmethod
    def of(cls, *keys: bytes | str) -> Trust:
        """From public keys (32 bytes) and fingerprints as printed, in any mixture."""
        return cls(
            frozenset(fingerprint(key) if isinstance(key, bytes) else key.strip() for key in keys)
        )

    def check(self, certificate: dict[str, Any]) -> None:
        """`UntrustedError` unless a believed platform key signed the certificate, as it stands."""
        try:
            platform_key = from_hex(shaped(certificate, WorkerCertificate).platform_key)
        except ValueError as error:
            raise UntrustedError("the worker's certificate is not well formed") from error
        if fingerprint(platform_key) not in self.fingerprints:
            raise UntrustedError("the archive was signed by a platform that is not trusted")
        verify(platform_key, certificate, _CERTIFICATE_DOMAIN)


def certify(
    platform: SigningKey, *, pool: str, public_key: bytes, issued_at: datetime
) -> WorkerCertificate:
    """The platform lets a worker's key sign manifests for its pool."""
    blank = WorkerCertificate(
        pool=pool,
        public_key=public_key.hex(),
        platform_key=platform.public.hex(),
        issued_at=issued_at,
        signature="",
    )
    signature = platform.sign(_CERTIFICATE_DOMAIN + canonical(blank))
    return msgspec.structs.replace(blank, signature=signature.hex())


def fingerprint(platform_key: bytes) -> str:
    """How a platform's public key is printed and compared: SHA-256, base64url."""
    return "SHA256:" + to_text(hashlib.sha256(platform_key).digest())


def verify(public_key: bytes, signed: dict[str, Any], domain: bytes) -> None:
    """`UntrustedError` unless `signature` is the key's, over the rest with an empty signature."""
    try:
        signature = from_hex(signed["signature"])
        message = domain + canonical({**signed, "signature": ""})
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise UntrustedError("a signature does not fit") from error


def _require_seed(seed: bytes) -> None:
    if len(seed) != SEED_BYTES:
        raise InvalidInputError(f"a private key is a seed of {SEED_BYTES} bytes")
