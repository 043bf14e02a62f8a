"""Which queued runs go: never too many, never one that overtakes on its own server."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.limits import WEIGHED, Limits, Load, admitted

SERVERS = [UUID(int=number) for number in range(4)]
loads = st.builds(
    Load,
    run_id=st.uuids(),
    kind=st.sampled_from(["backup", "backup", "restore", "test", "discovery"]),
    server_id=st.sampled_from(SERVERS),
    pool=st.sampled_from(["core", "agent"]),
    requested_seq=st.integers(1, 10_000),
)
queues = st.lists(loads, max_size=20, unique_by=lambda load: load.requested_seq)
limits = st.builds(
    Limits,
    servers=st.dictionaries(st.sampled_from(SERVERS), st.integers(0, 3)),
    pool=st.integers(0, 5),
)


def under_way(runs: list[Load]) -> tuple[Counter[UUID], Counter[str]]:
    weighed = [run for run in runs if run.kind in WEIGHED]
    return Counter(run.server_id for run in weighed), Counter(run.pool for run in weighed)


def fits(run: Load, runs: list[Load], limit: Limits) -> bool:
    on_server, in_pool = under_way(runs)
    return run.kind not in WEIGHED or (
        on_server[run.server_id] < limit.servers.get(run.server_id, limit.pool)
        and in_pool[run.pool] < limit.pool
    )


@given(queued=queues, active=queues, limit=limits)
def test_no_limit_is_ever_exceeded_by_what_goes(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    so_far = list(active)
    for run in admitted(queued, active, limit):
        assert fits(run, so_far, limit)
        so_far.append(run)


@given(queued=queues, active=queues, limit=limits)
def test_no_place_stays_free_while_a_run_could_use_it(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    going = admitted(queued, active, limit)

    for waiting in {run.run_id for run in queued} - {run.run_id for run in going}:
        run = next(one for one in queued if one.run_id == waiting)
        assert not fits(run, [*active, *going], limit)


@given(queued=queues, active=queues, limit=limits)
def test_runs_go_in_the_order_of_their_requests_and_none_is_overtaken_on_its_server(
    queued: list[Load], active: list[Load], limit: Limits
) -> None:
    going = admitted(queued, active, limit)

    assert [run.requested_seq for run in going] == sorted(run.requested_seq for run in going)
    for run in going:
        for other in queued:
            same = (other.server_id, other.pool) == (run.server_id, run.pool)
            if same and other.kind in WEIGHED and other.requested_seq < run.requested_seq:
                assert run.kind not in WEIGHED or other in going


def load(seq: int, *, server: int = 0, kind: str = "backup") -> Load:
    return Load(
        run_id=uuid4(), kind=kind, server_id=SERVERS[server], pool="core", requested_seq=seq
    )


def test_a_full_server_does_not_hold_up_the_others() -> None:
    queued = [load(1), load(2), load(3, server=1)]

    going = admitted(queued, [], Limits(servers={SERVERS[0]: 1, SERVERS[1]: 1}, pool=9))

    assert [run.requested_seq for run in going] == [1, 3]


def test_a_test_goes_however_busy_its_server_is() -> None:
    queued = [load(1), load(2, kind="test")]

    going = admitted(queued, [load(0)], Limits(servers={SERVERS[0]: 1}, pool=1))

    assert [run.kind for run in going] == ["test"]
