"""The vault: what is sealed opens only where it belongs, and only while its key lives."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from cryptography.fernet import Fernet

from shared.keys.sealed import Sealed
from shared.keys.vault import SealedValueError, Vault, encryption_keys
from shared.settings import ConfigurationError
from tests.unit.keys.folders import DictKeys

SECRET = "canary-hunter2"


@pytest.fixture
def bucket() -> DictKeys:
    return DictKeys()


@pytest.fixture
def vault(bucket: DictKeys) -> Vault:
    return Vault(bucket, [Fernet.generate_key().decode()])


async def test_a_sealed_value_opens_where_it_belongs(vault: Vault) -> None:
    token = await vault.seal("cfg.server.a", "runner.password", SECRET)

    assert await vault.open(token, "cfg.server.a", "runner.password") == SECRET


@pytest.mark.parametrize(
    ("subject", "field"),
    [("cfg.server.b", "runner.password"), ("cfg.server.a", "endpoints.main.password")],
)
async def test_a_token_moved_elsewhere_is_refused(vault: Vault, subject: str, field: str) -> None:
    """Abuse case 32: a secret of one row is no secret of another."""
    token = await vault.seal("cfg.server.a", "runner.password", SECRET)

    with pytest.raises(SealedValueError, match="something else"):
        await vault.open(token, subject, field)


async def test_a_remembered_key_opens_for_a_while_but_seals_nothing_once_it_is_erased(
    bucket: DictKeys,
) -> None:
    key = Fernet.generate_key().decode()
    remembering = Vault(bucket, [key], remembered_s=60.0)
    token = await remembering.seal("cfg.user.a", "name", SECRET, key_id="person-a")
    assert await remembering.open(token, "cfg.user.a", "name") == SECRET

    await Vault(bucket, [key]).erase("person-a")
    assert await remembering.open(token, "cfg.user.a", "name") == SECRET
    newer = await remembering.seal("cfg.user.a", "name", "other", key_id="person-a")
    assert await Vault(bucket, [key]).open(newer, "cfg.user.a", "name") == "other"

    await remembering.erase("person-a")
    with pytest.raises(SealedValueError, match="erased"):
        await remembering.open(token, "cfg.user.a", "name")


async def test_a_damaged_token_is_refused_without_showing_it(vault: Vault) -> None:
    token = await vault.seal("cfg.server.a", "f", SECRET)
    damaged = Sealed(key=token.key, token=token.token[:-8] + "AAAAAAA=")

    with pytest.raises(SealedValueError, match="damaged") as caught:
        await vault.open(damaged, "cfg.server.a", "f")

    assert token.token[:20] not in str(caught.value)


async def test_a_token_under_another_secrets_key_is_refused(vault: Vault) -> None:
    first = await vault.seal("cfg.server.a", "f", SECRET)
    second = await vault.seal("cfg.server.a", "f", "other")

    with pytest.raises(SealedValueError):
        await vault.open(Sealed(key=first.key, token=second.token), "cfg.server.a", "f")


async def test_what_is_no_sealing_key_is_never_used_as_one(vault: Vault, bucket: DictKeys) -> None:
    await bucket.create("worker.core", b"public half")

    with pytest.raises(SealedValueError):
        await vault.open(Sealed(key="worker.core", token="x"), "cfg.server.a", "f")
    with pytest.raises(ValueError, match="named"):
        await vault.seal("cfg.server.a", "f", SECRET, key_id="worker.core")


async def test_erasing_a_persons_key_makes_all_their_values_unreadable(vault: Vault) -> None:
    name = await vault.seal("cfg.user.1", "name", "Ada", key_id="person-1")
    email = await vault.seal("cfg.user.1", "email", "ada@example.org", key_id="person-1")
    other = await vault.seal("cfg.user.2", "name", "Bob", key_id="person-2")

    await vault.erase("person-1")

    for token, field in ((name, "name"), (email, "email")):
        with pytest.raises(SealedValueError, match="erased"):
            await vault.open(token, "cfg.user.1", field)
    assert await vault.open(other, "cfg.user.2", "name") == "Bob"


async def test_two_that_seal_at_once_under_one_new_key_can_both_be_opened(vault: Vault) -> None:
    fields = [f"field{number}" for number in range(8)]

    tokens = await asyncio.gather(
        *(vault.seal("cfg.user.1", field, field, key_id="person-1") for field in fields)
    )

    opened = [
        await vault.open(token, "cfg.user.1", field)
        for token, field in zip(tokens, fields, strict=True)
    ]
    assert opened == fields


async def test_after_a_rewrap_the_old_encryption_key_is_no_longer_needed(bucket: DictKeys) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    before = Vault(bucket, [old])
    tokens = [await before.seal("cfg.server.a", "f", f"value {n}") for n in range(3)]

    rewrapped = await Vault(bucket, [new, old]).rewrap()

    after = Vault(bucket, [new])
    assert rewrapped == 3
    assert [await after.open(token, "cfg.server.a", "f") for token in tokens] == [
        "value 0",
        "value 1",
        "value 2",
    ]
    with pytest.raises(SealedValueError):
        await before.open(tokens[0], "cfg.server.a", "f")


async def test_a_second_rewrap_finds_nothing_to_do(bucket: DictKeys) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    await Vault(bucket, [old]).seal("cfg.server.a", "f", SECRET)
    vault = Vault(bucket, [new, old])

    assert [await vault.rewrap(), await vault.rewrap()] == [1, 0]


async def test_a_rewrap_does_not_bring_an_erased_key_back(bucket: DictKeys) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    await Vault(bucket, [old]).seal("cfg.user.1", "name", SECRET, key_id="person-1")
    bucket.before_replace = lambda: bucket.entries.pop("person-1", None)

    await Vault(bucket, [new, old]).rewrap()

    assert "person-1" not in bucket.entries


async def test_a_rewrap_reports_keys_it_cannot_open_after_doing_the_others(
    bucket: DictKeys,
) -> None:
    lost, old, new = (Fernet.generate_key().decode() for _ in range(3))
    await Vault(bucket, [lost]).seal("cfg.server.a", "f", SECRET)
    token = await Vault(bucket, [old]).seal("cfg.server.b", "f", SECRET)

    with pytest.raises(SealedValueError, match="1 sealing keys"):
        await Vault(bucket, [new, old]).rewrap()

    assert await Vault(bucket, [new]).open(token, "cfg.server.b", "f") == SECRET


async def test_no_value_and_no_token_shows_in_a_repr(vault: Vault, bucket: DictKeys) -> None:
    token = await vault.seal("cfg.server.a", "f", SECRET)

    shown = repr(token) + repr(vault) + str(msgspec.structs.asdict(token)["key"])

    assert SECRET not in shown
    assert token.token not in shown
    assert SECRET.encode() not in b"".join(bucket.entries.values())


def test_a_list_of_encryption_keys_is_read_newest_first() -> None:
    assert encryption_keys(" new , old,\n") == ["new", "old"]


@pytest.mark.parametrize("keys", [[], ["short"], ["canary-not-a-fernet-key"]])
def test_a_wrong_encryption_key_is_named_but_not_shown(bucket: DictKeys, keys: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="ENCRYPTION_KEY") as caught:
        Vault(bucket, keys)

    assert "canary" not in str(caught.value)
