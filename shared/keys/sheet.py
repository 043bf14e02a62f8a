"""The recovery sheet: every key of the platform on one page of paper, and back again."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from pathlib import Path

import msgspec

from shared.archive.keys import RecipientKey, SigningKey, fingerprint
from shared.audit.succession import HANDOVER_BYTES, Succession, packed, unpacked
from shared.errors import InvalidInputError
from shared.keys.files import KeyFolder, restore_platform_keys
from shared.keys.printed import printed, typed
from shared.keys.reading import (
    KeyFileError,
    read_bytes,
    read_handovers,
    read_key_encryption_keys,
    read_recipient,
    read_recipient_key,
    read_signing_key,
)
from shared.keys.secret_keys import LONG_AGO, OneKey, secret_keys
from shared.keys.vault import encryption_keys
from shared.messages.values import AuditHandover

_WIDTH = 61
HANDOVER = "HFAHO1"
_LABEL = re.compile(
    r"^\s*((?:encryption_key|secret_key|kek|audit_handover)(?:_\d+)?|audit_key|recovery_key)\s*:(.*)$"
)
_GROUPS = re.compile(r"^[\s0-9A-Za-z-]*-[\s0-9A-Za-z-]*$")
_CHECK = re.compile(r"^\s*check\s*:\s*([0-9A-Fa-f]{4})-([0-9A-Fa-f]{4})\s*$", re.MULTILINE)

_PAGE = """\
HOLDFAST RECOVERY SHEET                                 keep it offline, locked

Whoever holds this page can read every backup. Without it, and without the
machine, nobody can. After printing: `holdfast recovery-sheet --forget`.

platform fingerprint: {fingerprint}
{earlier}
{keys}
check: {check}

Read an archive without the platform (Python, cryptography, zstandard, lz4):
  1. copy the store's folder or bucket; each archive lies in <backup>/<attempt>
  2. python holdfast-recover.py list STORE --trust FINGERPRINT
  3. python holdfast-recover.py decrypt STORE/BACKUP/ATTEMPT --trust FINGERPRINT
       --output FILE      and type `recovery_key` when it asks for the key

Keys may be typed without spaces or line breaks; each carries its own checksum.
"""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's secrets in their printed forms: `encryption_key` (several after a rotation:
    `encryption_key_2`, ...), `secret_key` and `kek` (likewise), `audit_key`, `recovery_key`; once
    the audit key was replaced also `audit_handover`, the first one first."""

    fingerprint: str
    keys: dict[str, str]
    check: str

    def __repr__(self) -> str:
        return f"Sheet(fingerprint={self.fingerprint!r})"

    def text(self) -> str:
        """The page: plain text that fits on A4."""
        return _PAGE.format(
            fingerprint=self.fingerprint,
            earlier=_earlier(self.keys),
            keys="\n".join(_lines(name, key) for name, key in self.keys.items()),
            check=self.check,
        )

    def json(self) -> bytes:
        """The same for a password manager."""
        return msgspec.json.encode(self)

    def restore(self, folder: Path) -> KeyFolder:
        """Make the key folder again; raises KeyFileError where one lies already."""
        return restore_platform_keys(folder, _contents(self.keys), _handovers(self.keys))


def recovery_sheet(keys: KeyFolder, *, before: Sheet | None = None) -> Sheet:
    """The sheet of a key folder; raises KeyFileError once the recovery key was forgotten.

    Then `before`, an earlier sheet, has it; it must be one of the same installation.
    """
    if before is not None:
        return _sheet(_current(keys) | {"recovery_key": _recovery_key(keys, before)})
    if not keys.recovery_key.exists():
        raise KeyFileError(
            "the recovery key was removed after its sheet was printed", fix="use that sheet"
        )
    recovery = read_recipient_key(keys.recovery_key).printed()
    return _sheet(_current(keys) | {"recovery_key": recovery})


def _recovery_key(keys: KeyFolder, before: Sheet) -> str:
    found = RecipientKey.parse(before.keys["recovery_key"])
    if found.public.text() != read_recipient(keys.recovery_recipient).text():
        raise KeyFileError("the sheet is of another installation", fix="use the last one of this")
    return found.printed()


def _current(keys: KeyFolder) -> dict[str, str]:
    """The printed keys of the folder, without the recovery key."""
    fernets = encryption_keys(read_bytes(keys.encryption_key).decode())
    tokens = secret_keys(read_bytes(keys.secret_key).decode())
    return (
        {
            _numbered("encryption_key", at): printed("HFENC1", base64.urlsafe_b64decode(key))
            for at, key in enumerate(fernets, 1)
        }
        | {
            _numbered("secret_key", at): printed("HFSEC1", base64.b64decode(key.text))
            for at, key in enumerate(tokens, 1)
        }
        | {
            _numbered("kek", at): key.printed()
            for at, key in enumerate(read_key_encryption_keys(keys.kek), 1)
        }
        | {
            "audit_key": read_signing_key(keys.audit_key).printed(),
        }
        | {
            _numbered("audit_handover", at): printed(HANDOVER, packed(one))
            for at, one in enumerate(read_handovers(keys.audit_key), 1)
        }
    )


def parse_sheet(text: str) -> Sheet:
    """The sheet as typed or scanned, or as JSON.

    Raises InvalidInputError naming the first key with a typo, a missing key, or keys that are
    each right but not those of one sheet.
    """
    if text.lstrip().startswith("{"):
        found, check = _from_json(text)
    else:
        found, check = _from_page(text)
    sheet = _sheet({name: _normal(name, key) for name, key in found.items()})
    if check != sheet.check:
        raise InvalidInputError(
            "the keys do not belong to one sheet", fix="compare every label with the printed sheet"
        )
    return sheet


def _sheet(keys: dict[str, str]) -> Sheet:
    missing = {"encryption_key", "secret_key", "kek", "audit_key", "recovery_key"} - keys.keys()
    if missing:
        raise InvalidInputError(f"the sheet lacks {', '.join(sorted(missing))}")
    ordered = dict(sorted(keys.items(), key=lambda item: _order(item[0])))
    digest = hashlib.sha256("\n".join(f"{n}:{k}" for n, k in ordered.items()).encode()).hexdigest()
    return Sheet(
        fingerprint=fingerprint(SigningKey.parse(keys["audit_key"]).public),
        keys=ordered,
        check=f"{digest[:4]}-{digest[4:8]}".upper(),
    )


def _order(name: str) -> tuple[int, str]:
    names = ("recovery_key", "kek", "audit_key", "secret_key")
    return (names.index(name) if name in names else len(names), name)


def _numbered(name: str, at: int) -> str:
    return name if at == 1 else f"{name}_{at}"


def _all_of(name: str, keys: dict[str, str]) -> list[str]:
    """The printed keys of one kind, newest first."""
    found = [key for key in keys if re.fullmatch(rf"{name}(_\d+)?", key)]
    return [keys[key] for key in sorted(found, key=lambda key: int(key[len(name) + 1 :] or 1))]


def _handovers(keys: dict[str, str]) -> list[AuditHandover]:
    """Raises NoteError unless they lead to the sheet's audit key."""
    line = [typed(HANDOVER, one, HANDOVER_BYTES) for one in _all_of("audit_handover", keys)]
    found = unpacked(line)
    Succession.of(SigningKey.parse(keys["audit_key"]).public, found)
    return found


def _earlier(keys: dict[str, str]) -> str:
    """What archives are to be trusted by that were made before the audit key was replaced."""
    return "".join(
        f"before {one.at[:10]}:    {fingerprint(bytes.fromhex(one.old))}\n"
        for one in _handovers(keys)
    )


def _lines(name: str, key: str) -> str:
    """The key on two lines of groups, indented under its label."""
    wrapped = textwrap.wrap(key.replace("-", "- "), _WIDTH)
    return f"{name}:\n" + "\n".join(f"    {line.replace('- ', '-')}" for line in wrapped) + "\n"


def _from_page(text: str) -> tuple[dict[str, str], str]:
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        if match := _LABEL.match(line):
            label, rest = match.groups()
            found[label] = rest
        elif label and _GROUPS.match(line):
            found[label] += line
        else:
            label = ""
    check = _CHECK.search(text)
    return found, f"{check[1]}-{check[2]}".upper() if check else ""


def _from_json(text: str) -> tuple[dict[str, str], str]:
    try:
        sheet = msgspec.json.decode(text, type=Sheet)
    except msgspec.DecodeError:
        raise InvalidInputError("this is not a recovery sheet in JSON") from None
    return sheet.keys, sheet.check


def _normal(name: str, key: str) -> str:
    """The printed form of what was typed; raises InvalidInputError with the key's name."""
    try:
        if name == "recovery_key" or name.startswith("kek"):
            return RecipientKey.parse(key).printed()
        if name == "audit_key":
            return SigningKey.parse(key).printed()
        if name.startswith("audit_handover"):
            return printed(HANDOVER, typed(HANDOVER, key, HANDOVER_BYTES))
        tag = "HFSEC1" if name.startswith("secret_key") else "HFENC1"
        return printed(tag, typed(tag, key))
    except InvalidInputError:
        raise InvalidInputError(
            f"{name} is mistyped", fix="compare it with the printed sheet, group by group"
        ) from None


def _contents(keys: dict[str, str]) -> dict[str, bytes]:
    """What the key files hold."""
    fernets = [
        base64.urlsafe_b64encode(typed("HFENC1", key)) for key in _all_of("encryption_key", keys)
    ]
    tokens = [
        base64.b64encode(typed("HFSEC1", key)).decode() for key in _all_of("secret_key", keys)
    ]
    # When they were retired is not on paper: long ago, so that they sign nothing any more.
    older = [OneKey(token, LONG_AGO).written() for token in tokens[1:]]
    return {
        "encryption_key": b",".join(fernets),
        "secret_key": ",".join([tokens[0], *older]).encode(),
        "kek": ",".join(_all_of("kek", keys)).encode(),
        **{name: keys[name].encode() for name in ("audit_key", "recovery_key")},
    }
