"""Settings of a process: one frozen struct, read once from the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from shared.errors import PlatformError

Settings = TypeVar("Settings", bound=msgspec.Struct)


class ConfigurationError(PlatformError):
    """The environment does not describe a process that can start; every fault is named."""

    code = "configuration"
    default_fix = "see docs/configuration.md"


@runtime_checkable
class Checked(Protocol):
    """A struct of settings that knows what its fields cannot be together."""

    def faults(self) -> list[str]:
        """One sentence for each fault; none holds a value that may be secret."""
        ...


def load(kind: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Read each field from the variable of its name in capitals, or the file in `<NAME>_FILE`.

    Raises ConfigurationError naming all faults at once, never a value.
    """
    read, faults = _read(kind, environment)
    if read is None or faults:
        raise ConfigurationError("; ".join(faults))
    return read


def check_all(kinds: Iterable[type[msgspec.Struct]], environment: Mapping[str, str]) -> None:
    """Raise one ConfigurationError with every fault that `load` would find in any of `kinds`."""
    faults = [fault for kind in kinds for fault in _read(kind, environment)[1]]
    if faults:
        raise ConfigurationError("; ".join(dict.fromkeys(faults)))


def _read(
    kind: type[Settings], environment: Mapping[str, str]
) -> tuple[Settings | None, list[str]]:
    """The settings, or None where some cannot be read, and every fault."""
    faults: list[str] = []
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        try:
            text = _text(field.name.upper(), environment)
            if text is not None:
                values[field.name] = _converted(text, field.type)
            elif field.required:
                faults.append(f"{field.name.upper()} is not set")
        except msgspec.ValidationError:
            faults.append(f"{field.name.upper()} cannot be read as {_name(field.type)}")
        except OSError as error:
            faults.append(f"{field.name.upper()}_FILE: {error.strerror}")
        except UnicodeDecodeError:
            faults.append(f"{field.name.upper()}_FILE: is not text")
    if faults:
        return None, faults
    settings = kind(**values)
    return settings, settings.faults() if isinstance(settings, Checked) else []


def _converted(text: str, kind: Any) -> Any:
    return msgspec.convert(text, kind, strict=False, dec_hook=lambda wanted, it: wanted(it))


def _text(name: str, environment: Mapping[str, str]) -> str | None:
    if (path := environment.get(f"{name}_FILE")) is not None:
        return Path(path).read_text().strip()
    return environment.get(name)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
