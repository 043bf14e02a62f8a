"""Secrets in plug-in settings: found by the schema, sealed and opened by path."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from msgspec import Meta

from shared.errors import InvalidInputError
from shared.keys.plugins import (
    HiddenSecretError,
    keys_of,
    open_config,
    seal_config,
    secret_fields,
    without_secrets,
)
from shared.keys.vault import SealedValueError, Vault
from shared.plugins import schemas_of
from tests.unit.keys.folders import DictKeys

Secret = Annotated[str, Meta(extra_json_schema={"writeOnly": True})]


class Tls(msgspec.Struct):
    """Something nested, without a secret."""

    verify: bool = True


class Door(msgspec.Struct, tag="door"):
    """A plug-in with a required and an optional secret."""

    host: str
    password: Secret
    key: Secret | None = None
    tls: Tls | None = None


class Vaulted(msgspec.Struct):
    """Something nested that hides a secret."""

    password: Secret


class Hiding(msgspec.Struct, tag="hiding"):
    """A plug-in whose secret nothing would seal."""

    inner: Vaulted


SCHEMA: dict[str, Any] = schemas_of(Door)["door"]
CONFIG = {"kind": "door", "host": "db", "password": "canary-1", "key": "canary-2"}


@pytest.fixture
def vault() -> Vault:
    return Vault(DictKeys(), [Fernet.generate_key().decode()])


def test_the_schema_names_the_secret_fields() -> None:
    assert secret_fields(SCHEMA) == ["password", "key"]


def test_a_secret_that_nothing_would_seal_is_refused() -> None:
    with pytest.raises(HiddenSecretError):
        secret_fields(schemas_of(Hiding)["hiding"])


async def test_a_sealed_configuration_holds_no_secret_and_opens_to_the_same(vault: Vault) -> None:
    sealed = await seal_config(vault, "cfg.server.a", "runner", CONFIG, SCHEMA)

    assert b"canary" not in msgspec.json.encode(sealed)
    assert sealed["host"] == "db"
    assert len(set(keys_of(sealed))) == 2
    assert [*keys_of({"endpoints": [{"engine": sealed}]})] == [*keys_of(sealed)]
    assert await open_config(vault, "cfg.server.a", "runner", sealed) == CONFIG


async def test_a_configuration_moved_to_another_plug_in_does_not_open(vault: Vault) -> None:
    sealed = await seal_config(vault, "cfg.server.a", "runner", CONFIG, SCHEMA)

    with pytest.raises(SealedValueError):
        await open_config(vault, "cfg.server.a", "endpoints.main", sealed)


async def test_an_edit_keeps_the_token_and_the_absence_of_a_secret(vault: Vault) -> None:
    sealed = await seal_config(vault, "cfg.server.a", "runner", CONFIG | {"key": None}, SCHEMA)

    again = await seal_config(vault, "cfg.server.a", "runner", sealed | {"host": "new"}, SCHEMA)

    assert again == sealed | {"host": "new"}
    assert again["key"] is None


async def test_a_secret_of_a_wrong_type_never_passes_in_clear(vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match=r"runner\.password") as caught:
        await seal_config(
            vault, "cfg.server.a", "runner", CONFIG | {"password": ["canary"]}, SCHEMA
        )

    assert "canary" not in str(caught.value)


async def test_the_api_shows_a_configuration_without_its_secrets(vault: Vault) -> None:
    sealed = await seal_config(vault, "cfg.server.a", "runner", CONFIG, SCHEMA)

    assert without_secrets(sealed) == {"kind": "door", "host": "db"}
