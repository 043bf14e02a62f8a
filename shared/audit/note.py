"""Checkpoints of the tree as signed notes (C2SP `signed-note` and `tlog-checkpoint`, Ed25519)."""

from __future__ import annotations

import base64
from datetime import datetime
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.archive.keys import SigningKey
from shared.errors import PlatformError

_ED25519 = b"\1"
_SIGNATURE_BYTES = 4 + 64


class NoteError(PlatformError):
    """A checkpoint is not one, or not signed by the key the reader trusts."""

    code = "audit.note"
    default_fix = "compare the public key with the one on the recovery sheet"


class Checkpoint(msgspec.Struct, frozen=True):
    """How large the tree was and which root it had; `at` says when that was signed."""

    origin: str
    size: int
    root: bytes
    at: str = ""

    def text(self) -> str:
        """The body that is signed: origin, size, root, and one extension line for the time."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        return "\n".join([*lines, f"time {self.at}"] if self.at else lines) + "\n"


def origin_of(public: bytes) -> str:
    """The name of the installation whose audit key this is."""
    return f"holdfast/{sha256(public).hexdigest()[:16]}"


def key_id(origin: str, public: bytes) -> bytes:
    return sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]


def sign(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The note: the body, an empty line, one signature line of the origin's name."""
    text = checkpoint.text()
    signature = key_id(checkpoint.origin, key.public) + key.sign(text.encode())
    return f"{text}\n\u2014 {checkpoint.origin} {base64.b64encode(signature).decode()}\n"


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the Ed25519 key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def timestamp(at: datetime) -> str:
    """RFC 3339, to the microsecond, always of one length; `at` must be in UTC."""
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def open_note(note: str, origin: str, public: bytes) -> Checkpoint:
    """The checkpoint in `note`; raises NoteError unless `origin` signed it with `public`.

    Signatures of other keys (a witness, the successor of a key) are passed over.
    """
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NoteError("the checkpoint is cut or not a signed note")
    body = text + "\n"
    wanted = key_id(origin, public)
    for line in signatures[:-1].split("\n"):
        signature = _signature(line, origin)
        if signature is not None and signature[:4] == wanted:
            if not is_signed(public, signature[4:], body.encode()):
                raise NoteError("the checkpoint was changed after it was signed")
            return _parse(body, origin)
    raise NoteError(f"the checkpoint carries no signature of {origin} by the trusted key")


def _signature(line: str, origin: str) -> bytes | None:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.rpartition(" ")
    if mark != "\u2014" or name != origin:
        return None
    try:
        signature = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    one_spelling = base64.b64encode(signature).decode() == encoded
    return signature if one_spelling and len(signature) == _SIGNATURE_BYTES else None


def _parse(body: str, origin: str) -> Checkpoint:
    lines = body.split("\n")
    try:
        size = int(lines[1])  # `text() == body` below refuses every other spelling
        root = base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError) as error:
        raise NoteError("the checkpoint's body cannot be read") from error
    at = lines[3].removeprefix("time ") if len(lines) > 4 else ""
    checkpoint = Checkpoint(origin, size, root, at)
    if checkpoint.text() != body or size < 0 or len(root) != len(sha256().digest()):
        raise NoteError("the checkpoint is of another origin or in another form")
    return checkpoint
