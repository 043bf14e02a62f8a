"""Sealed orders: opened by the pool's key only, and only as the order they were sealed for."""

from __future__ import annotations

import secrets
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from shared.keys.worker import SealedOrderError, open_as_worker, public_half, seal_for_worker
from shared.messages.base import now
from shared.messages.orders import OrderSecrets, RunBackup, ServerSecrets

PRIVATE = secrets.token_bytes(32)
SECRETS = OrderSecrets(
    runner={"kind": "local"},
    engine={"kind": "postgresql", "password": "canary-hunter2"},
    archive_key=b"canary-archive-key",
)


def sealed_order() -> RunBackup:
    order = RunBackup(
        run_id=uuid4(),
        not_after=now() + timedelta(hours=1),
        sealed="",
        backup_id=uuid4(),
        database_id=uuid4(),
        server_id=uuid4(),
        database="shop",
        store_id="main",
        recipients=[],
    )
    token = seal_for_worker(SECRETS, public_half(PRIVATE), order)
    return msgspec.structs.replace(order, sealed=token)


def test_the_pools_key_opens_the_order() -> None:
    assert open_as_worker(sealed_order(), PRIVATE, OrderSecrets) == SECRETS


def test_another_pools_key_does_not() -> None:
    with pytest.raises(SealedOrderError):
        open_as_worker(sealed_order(), secrets.token_bytes(32), OrderSecrets)


@pytest.mark.parametrize(
    "change",
    [{"id": uuid4()}, {"run_id": uuid4()}, {"pool": "agent-7"}],
    ids=["id", "run", "pool"],
)
def test_the_secrets_moved_to_another_order_do_not_open(change: dict[str, object]) -> None:
    moved = msgspec.structs.replace(sealed_order(), **change)

    with pytest.raises(SealedOrderError):
        open_as_worker(moved, PRIVATE, OrderSecrets)


@pytest.mark.parametrize("token", ["", "AAAA", "not base64 at all!", "ü"])
def test_what_is_no_sealed_part_is_refused(token: str) -> None:
    order = msgspec.structs.replace(sealed_order(), sealed=token)

    with pytest.raises(SealedOrderError):
        open_as_worker(order, PRIVATE, OrderSecrets)


def test_secrets_of_another_kind_of_order_are_refused() -> None:
    with pytest.raises(SealedOrderError):
        open_as_worker(sealed_order(), PRIVATE, ServerSecrets)


def test_sealing_to_what_is_no_key_is_refused() -> None:
    with pytest.raises(SealedOrderError, match="core"):
        seal_for_worker(SECRETS, "AAAA", sealed_order())


def test_no_secret_shows_in_the_order_its_secrets_or_the_error() -> None:
    order = sealed_order()
    with pytest.raises(SealedOrderError) as caught:
        open_as_worker(order, secrets.token_bytes(32), OrderSecrets)

    shown = repr(order) + repr(SECRETS) + repr(caught.value) + msgspec.json.encode(order).decode()

    assert "canary" not in shown
    assert "canary" not in repr(ServerSecrets(runner={"password": "canary"}, engines={}))
