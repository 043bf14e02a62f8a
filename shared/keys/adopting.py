"""Keys of other installations: they open what was imported from there."""

from __future__ import annotations

from pathlib import Path

from shared.archive.keys import RecipientKey
from shared.errors import InvalidInputError, NotFoundError
from shared.keys.files import KeyFolder
from shared.keys.reading import adopted_beside, read_bytes
from shared.keys.sheet import parse_sheet
from shared.keys.writing import replace


def adopt(keys: KeyFolder, file: Path) -> tuple[str, ...]:
    """Add every key that opens archives, of a recovery sheet or one printed key in a file.

    Returns their ids; raises InvalidInputError for anything else, KeyFileError where it cannot be
    read or written.
    """
    try:
        text = read_bytes(file).decode()
    except UnicodeDecodeError:
        raise InvalidInputError("this is neither a recovery sheet nor a key") from None
    found = _keys_in(text)
    known = {key.public.id: key for key in adopted_beside(keys.kek)}
    _write(keys, known | {key.public.id: key for key in found})
    return tuple(key.public.id for key in found)


def forget_adopted(keys: KeyFolder, key_id: str) -> None:
    """Remove an adopted key; raises NotFoundError for one that is none."""
    known = {key.public.id: key for key in adopted_beside(keys.kek)}
    if known.pop(key_id, None) is None:
        raise NotFoundError("no adopted key has this id")
    _write(keys, known)


def _keys_in(text: str) -> list[RecipientKey]:
    if text.strip().upper().startswith("HFKEY1"):
        return [RecipientKey.parse(text)]
    sheet = parse_sheet(text)
    opening = [name for name in sheet.keys if name == "recovery_key" or name.startswith("kek")]
    return [RecipientKey.parse(sheet.keys[name]) for name in opening]


def _write(keys: KeyFolder, known: dict[str, RecipientKey]) -> None:
    if known:
        replace(keys.adopted_keys, ",".join(key.printed() for key in known.values()).encode())
    else:
        keys.adopted_keys.unlink(missing_ok=True)
