"""Which queued runs go: never too many, never one that overtakes on its own server."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.limits import WEIGHED, Limits, Load, decided

SERVERS = [UUID(int=number) for number in range(4)]
STORES = ["cellar", "attic"]
loads = st.builds(
    Load,
    run_id=st.uuids(),
    kind=st.sampled_from(["backup", "backup", "restore", "test", "discovery", "command"]),
    server_id=st.sampled_from(SERVERS),
    store_id=st.sampled_from([*STORES, None]),
    pool=st.sampled_from(["core", "agent"]),
    requested_seq=st.integers(1, 10_000),
)
queues = st.lists(loads, max_size=20, unique_by=lambda load: load.requested_seq)
limits = st.builds(
    Limits,
    servers=st.dictionaries(st.sampled_from(SERVERS), st.integers(0, 3)),
    stores=st.dictionaries(st.sampled_from(STORES), st.integers(0, 3)),
    pool=st.integers(0, 5),
    paused=st.booleans(),
)


def fits(run: Load, runs: list[Load], limit: Limits) -> bool:
    """The rules once more, as somebody would say them."""
    if limit.paused and run.kind in {"backup", "restore", "command"}:
        return False
    if run.kind not in WEIGHED:
        return True
    weighed = [one for one in runs if one.kind in WEIGHED]
    on_server = sum(one.server_id == run.server_id for one in weighed)
    with_store = sum(one.store_id == run.store_id for one in weighed)
    most_on_server = limit.servers.get(run.server_id, limit.pool)
    most_with_store = limit.stores.get(run.store_id or "", 0)
    return (
        sum(one.pool == run.pool for one in weighed) < limit.pool
        and (not most_on_server or on_server < most_on_server)
        and (not most_with_store or with_store < most_with_store)
    )


@given(queued=queues, active=queues, limit=limits)
def test_no_limit_is_ever_exceeded_by_what_goes(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    so_far = list(active)
    for run in decided(queued, active, limit).going:
        assert fits(run, so_far, limit)
        so_far.append(run)


@given(queued=queues, active=queues, limit=limits)
def test_each_run_goes_or_waits_with_a_reason(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    decision = decided(queued, active, limit)

    going = {run.run_id for run in decision.going}
    assert going.isdisjoint(decision.waiting)
    assert going | decision.waiting.keys() == {run.run_id for run in queued}
    assert all(why.code and why.cause and why.fix for why in decision.waiting.values())


@given(queued=queues, active=queues, limit=limits)
def test_no_place_stays_free_while_a_run_could_use_it(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    decision = decided(queued, active, limit)

    for run in queued:
        if run.run_id in decision.waiting:
            assert not fits(run, [*active, *decision.going], limit)


@given(queued=queues, active=queues, limit=limits)
def test_runs_go_in_the_order_of_their_requests_and_none_is_overtaken_by_one_that_needs_the_same(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    going = decided(queued, active, limit).going

    assert [run.requested_seq for run in going] == sorted(run.requested_seq for run in going)
    for run in going:
        for other in queued:
            same = needs(other) == needs(run)
            if same and other.kind in WEIGHED and other.requested_seq < run.requested_seq:
                assert run.kind not in WEIGHED or other in going


def needs(run: Load) -> tuple[UUID, str, str | None]:
    return run.server_id, run.pool, run.store_id


@given(queued=queues, active=queues, limit=limits)
def test_queued_runs_all_go_in_the_end(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    """Whatever waits goes once what went has ended, unless nothing may go at all."""
    if limit.paused or not limit.pool:
        return
    waiting, rounds = list(queued), 0
    while waiting:
        going = decided(waiting, [], limit).going
        assert going
        waiting = [run for run in waiting if run not in going]
        rounds += 1
    assert rounds <= len(queued)


def load(seq: int, *, server: int = 0, kind: str = "backup", store: str | None = None) -> Load:
    return Load(
        run_id=uuid4(),
        kind=kind,
        server_id=SERVERS[server],
        pool="core",
        requested_seq=seq,
        store_id=store,
    )


def test_a_full_server_does_not_hold_up_the_others() -> None:
    queued = [load(1), load(2), load(3, server=1)]

    decision = decided(queued, [], Limits(servers={SERVERS[0]: 1, SERVERS[1]: 1}, pool=9))

    assert [run.requested_seq for run in decision.going] == [1, 3]
    assert decision.waiting[queued[1].run_id].code == "server.busy"


def test_a_full_store_does_not_hold_up_what_goes_elsewhere_on_the_same_server() -> None:
    queued = [load(1, store="cellar"), load(2, store="cellar"), load(3, store="attic")]
    limits = Limits(servers={SERVERS[0]: 0}, stores={"cellar": 1}, pool=9)

    decision = decided(queued, [], limits)

    assert [run.requested_seq for run in decision.going] == [1, 3]
    assert decision.waiting[queued[1].run_id].code == "store.busy"
    assert "1" in decision.waiting[queued[1].run_id].cause


def test_a_test_goes_however_busy_its_server_is() -> None:
    queued = [load(1), load(2, kind="test")]

    going = decided(queued, [load(0)], Limits(servers={SERVERS[0]: 1}, pool=1)).going

    assert [run.kind for run in going] == ["test"]


def test_while_dispatch_is_paused_only_what_somebody_waits_for_goes() -> None:
    kinds = ("backup", "restore", "command", "test", "discovery")
    queued = [load(number, kind=kind) for number, kind in enumerate(kinds)]

    decision = decided(queued, [], Limits(servers={}, pool=9, paused=True))

    assert [run.kind for run in decision.going] == ["test", "discovery"]
    assert {why.code for why in decision.waiting.values()} == {"dispatch.paused"}
