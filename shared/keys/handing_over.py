"""The audit key's successor: made beside it, vouched for by both, then put in its place."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.archive.keys import SigningKey
from shared.audit.succession import Succession, hand_over
from shared.keys.files import KeyFolder, certificate_of, ensure_keys
from shared.keys.reading import read_handovers, read_signing_key
from shared.keys.writing import create, replace, sync_folder
from shared.messages.base import now
from shared.messages.values import AuditHandover


def hand_over_audit_key(keys: KeyFolder, *, size: int) -> AuditHandover:
    """Let a new audit key sign from now on, and the old one for no more than `size` entries.

    Whoever signs must not run meanwhile. A crash at any moment leaves the old key, or lets
    `finish_handover` go on to the new one.
    """
    finish_handover(keys)
    old, new = read_signing_key(keys.audit_key), SigningKey.generate()
    before = read_handovers(keys.audit_key)
    said = hand_over(Succession.of(old.public, before), old, new, size=size, at=now())
    create(keys.next_audit_key, new.printed().encode())
    replace(keys.audit_handovers, msgspec.json.encode([*before, said]))
    finish_handover(keys)
    return said


def finish_handover(keys: KeyFolder) -> None:
    """Go on where a hand-over was interrupted: to its end once both keys have signed it."""
    if not keys.next_audit_key.exists():
        return
    new, handovers = read_signing_key(keys.next_audit_key), read_handovers(keys.audit_key)
    if handovers and handovers[-1].new == new.public.hex():
        for folder in sorted((keys.folder / "worker").glob("*")):
            pool = KeyFolder(keys.folder, folder.name)
            if pool.signing_key.exists():
                replace(pool.certificate, certificate_of(pool, new))
        replace(keys.audit_key, new.printed().encode())
    keys.next_audit_key.unlink()
    sync_folder(keys.folder)


def whole_keys(folder: Path) -> KeyFolder:
    """As `ensure_keys`, after what was interrupted has come to its end."""
    if folder.is_dir():
        finish_handover(KeyFolder(folder))
    return ensure_keys(folder)
