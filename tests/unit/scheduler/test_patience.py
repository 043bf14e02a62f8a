"""How long a run that cannot be dispatched is tried."""

from __future__ import annotations

import pytest

from services.scheduler.errors import NoWorkerError
from services.scheduler.patience import GIVE_UP_S, TRY_AGAIN_S, Patience
from shared.errors import PlatformError, UnavailableError
from shared.stores.base import StoreUnreachableError
from tests.unit.scheduler.test_abandonment import run


@pytest.mark.parametrize(
    ("kind", "error", "mortal"),
    [
        ("backup", NoWorkerError("no worker"), False),
        ("backup", UnavailableError("no read model"), False),
        ("restore", StoreUnreachableError("no store"), True),
        ("test", NoWorkerError("no worker"), True),
        ("discovery", UnavailableError("no read model"), True),
    ],
)
def test_only_what_cannot_wait_is_given_up(kind: str, error: PlatformError, mortal: bool) -> None:
    patience, one = Patience(), run("requested", kind=kind)

    given_up = [patience.failed(one, error, at) for at in (0.0, GIVE_UP_S - 0.1, GIVE_UP_S)]

    assert given_up == [False, False, mortal]


def test_a_failure_is_not_tried_again_at_once() -> None:
    patience, one = Patience(), run("requested")
    patience.failed(one, NoWorkerError("no worker"), 10.0)

    assert not patience.may_try(one.run_id, 10.0 + TRY_AGAIN_S - 0.1)
    assert patience.may_try(one.run_id, 10.0 + TRY_AGAIN_S)


def test_what_has_ended_is_forgotten() -> None:
    patience, one = Patience(), run("restore", kind="restore")
    error = StoreUnreachableError("no store")
    patience.failed(one, error, 0.0)

    patience.only(set())

    assert not patience.failed(one, error, GIVE_UP_S)
