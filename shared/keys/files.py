"""The key folder: every key that lies outside the log, made once and never overwritten."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet

from shared.archive.encoding import canonical
from shared.archive.keys import RecipientKey, SigningKey, certify, fingerprint
from shared.audit.succession import Succession
from shared.keys.reading import (
    KeyFileError,
    handovers_beside,
    read_handovers,
    read_key_encryption_keys,
    read_recipient,
    read_recipient_key,
    read_signing_key,
)
from shared.keys.writing import create, private_folder, sync_folder
from shared.messages.base import CORE, checked, now
from shared.messages.settings import PlatformSetting
from shared.messages.values import AuditHandover

PLATFORM_FILES = ("encryption_key", "secret_key", "kek", "audit_key", "recovery_key")


class KeyFolder(msgspec.Struct, frozen=True):
    """Where the keys of this installation lie, and of which worker pool."""

    folder: Path
    pool: str = CORE

    @property
    def encryption_key(self) -> Path:
        """Fernet keys, comma-separated, newest first (`ENCRYPTION_KEY_FILE`)."""
        return self.folder / "encryption_key"

    @property
    def secret_key(self) -> Path:
        """32 bytes in base64 that sign the gateway's tokens (`SECRET_KEY_FILE`)."""
        return self.folder / "secret_key"

    @property
    def kek(self) -> Path:
        """The printed forms of the RecipientKeys that open archives, comma-separated, newest first
        (`KEK_FILE`)."""
        return self.folder / "kek"

    @property
    def adopted_keys(self) -> Path:
        """The same of other installations, whose archives were imported here; seldom there."""
        return self.folder / "adopted_keys"

    @property
    def audit_key(self) -> Path:
        """The printed form of the platform's SigningKey (`AUDIT_KEY_FILE`)."""
        return self.folder / "audit_key"

    @property
    def next_audit_key(self) -> Path:
        """The next audit key while the log is handed over to it."""
        return self.folder / "audit_key.next"

    @property
    def audit_handovers(self) -> Path:
        """The AuditHandovers from the first audit key to this one, as JSON; seldom there."""
        return handovers_beside(self.audit_key)

    @property
    def recovery_key(self) -> Path:
        """The printed form of the offline RecipientKey; gone once the sheet is printed."""
        return self.folder / "recovery_key"

    @property
    def recovery_recipient(self) -> Path:
        """The public half of the recovery key, made last: it says that the folder is complete."""
        return self.folder / "recovery_recipient"

    @property
    def order_key(self) -> Path:
        """32 raw bytes, the X25519 key that opens the pool's orders (`WORKER_KEY_FILE`)."""
        return self._worker / "order_key"

    @property
    def signing_key(self) -> Path:
        """The printed form of the pool's SigningKey (`WORKER_SIGNING_FILE`)."""
        return self._worker / "signing_key"

    @property
    def certificate(self) -> Path:
        """The platform's WorkerCertificate for that key, as JSON (`WORKER_CERTIFICATE_FILE`)."""
        return self._worker / "certificate"

    @property
    def _worker(self) -> Path:
        return self.folder / "worker" / checked(self.pool)


def ensure_keys(folder: Path, pool: str = CORE) -> KeyFolder:
    """Make what the key folder lacks; the same keys come out however often this is called.

    Raises KeyFileError when a complete folder has lost a key of the platform: making a new one
    would lock the installation out of its own archives.
    """
    keys = KeyFolder(folder, pool)
    private_folder(folder)
    if not keys.recovery_recipient.exists():
        _make_platform_keys(keys)
    for name in PLATFORM_FILES[:-1]:
        if not (folder / name).is_file():
            raise KeyFileError(f"the key {name} is missing from the key folder")
    _make_worker_keys(keys)
    return keys


def _make_platform_keys(keys: KeyFolder) -> None:
    """Nothing has used these before the last of them exists, so an interrupted start goes on."""
    create(keys.encryption_key, Fernet.generate_key())
    create(keys.secret_key, base64.b64encode(secrets.token_bytes(32)))
    create(keys.kek, RecipientKey.generate().printed().encode())
    create(keys.audit_key, SigningKey.generate().printed().encode())
    create(keys.recovery_key, RecipientKey.generate().printed().encode())
    _publish_recovery_half(keys)


def _publish_recovery_half(keys: KeyFolder) -> None:
    recipient = read_recipient_key(keys.recovery_key).public
    create(keys.recovery_recipient, recipient.text().encode())


def _make_worker_keys(keys: KeyFolder) -> None:
    private_folder(keys.order_key.parent.parent)
    private_folder(keys.order_key.parent)
    create(keys.order_key, secrets.token_bytes(32))
    create(keys.signing_key, SigningKey.generate().printed().encode())
    if not keys.certificate.exists():
        create(keys.certificate, certificate_of(keys, read_signing_key(keys.audit_key)))


def certificate_of(keys: KeyFolder, platform: SigningKey) -> bytes:
    """The platform's word for the pool's key, as it stands in the file."""
    public = read_signing_key(keys.signing_key).public
    return canonical(certify(platform, pool=keys.pool, public_key=public, issued_at=now()))


def restore_platform_keys(
    folder: Path, contents: Mapping[str, bytes], handovers: Sequence[AuditHandover] = ()
) -> KeyFolder:
    """A key folder with these PLATFORM_FILES; the worker's keys are made anew.

    Raises KeyFileError where the folder holds a key of the platform already.
    """
    private_folder(folder)
    for name in PLATFORM_FILES:
        if (folder / name).exists():
            raise KeyFileError(f"the folder has a key {name} already", fix="name an empty folder")
    for name in PLATFORM_FILES:
        create(folder / name, contents[name])
    if handovers:
        create(KeyFolder(folder).audit_handovers, msgspec.json.encode(handovers))
    _publish_recovery_half(KeyFolder(folder))
    return ensure_keys(folder)


def forget_recovery_key(keys: KeyFolder) -> None:
    """Remove the private recovery key; its public half stays, so archives still know it."""
    keys.recovery_key.unlink(missing_ok=True)
    sync_folder(keys.folder)


def platform_setting(keys: KeyFolder) -> PlatformSetting:
    """What the log says of this installation: public halves only. Appended once, expecting 0.

    `audit_public_key` is hex; the recipients are `Recipient.text`. The origin, under which the
    audit log's checkpoints are signed, is derived from the first audit key.
    """
    public = read_signing_key(keys.audit_key).public
    handovers = read_handovers(keys.audit_key)
    return PlatformSetting(
        key="self",
        actor="service:launcher",
        origin=Succession.of(public, handovers).origin,
        audit_public_key=public.hex(),
        platform_recipient=read_key_encryption_keys(keys.kek)[0].public.text(),
        recovery_recipient=read_recipient(keys.recovery_recipient).text(),
        handovers=handovers,
    )


def platform_fingerprint(keys: KeyFolder) -> str:
    """What `--trust` takes and the recovery sheet shows."""
    return fingerprint(read_signing_key(keys.audit_key).public)
