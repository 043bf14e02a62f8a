"""The servers of the wheels, as the launcher runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nats as nats_client
import pytest

from services.launcher.errors import LaunchError
from services.launcher.postgres import StopMode
from services.launcher.roles import DATABASE, READER, WRITER, prepare_database
from tests.support.nats import Nats, nats_server
from tests.support.postgres import Postgres, postgres_server
from tests.support.waiting import eventually_sync

WRITER_PASSWORD, READER_PASSWORD = "writer-password-1234", "reader-password-1234"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("private")
    parent.chmod(0o700)
    return parent / ("a rather long name of a folder, with spaces, " * 4)


@pytest.fixture(scope="module")
def server(home: Path):
    with postgres_server(home, major=18) as started:
        prepare_database(started, writer=WRITER_PASSWORD, reader=READER_PASSWORD)
        yield started


def ask(server: Postgres, user: str, password: str, sql: str) -> subprocess.CompletedProcess[str]:
    options = ["-h", server.host, "-p", str(server.port), "-U", user, "-d", DATABASE]
    return subprocess.run(
        [server.bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *options],
        check=False,
        input=sql,
        env={**os.environ, "PGPASSWORD": password},
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize("fixture", ["postgres", "customer"])
def test_both_majors_run_with_checksums_and_without_a_socket(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    server: Postgres = request.getfixturevalue(fixture)

    assert server.execute("SHOW server_version_num")[:2] == str(server.major)
    assert server.execute("SHOW data_checksums") == "on"
    assert server.execute("SHOW unix_socket_directories") == ""


def test_a_wrong_password_is_refused(server: Postgres) -> None:
    wrong = ask(server, WRITER, "another-password-123", "SELECT 1")

    assert wrong.returncode != 0
    assert "password authentication failed" in wrong.stderr


def test_the_reader_reads_what_the_writer_makes_and_writes_nothing(server: Postgres) -> None:
    made = ask(
        server, WRITER, WRITER_PASSWORD, "CREATE TABLE fact (n int); INSERT INTO fact SELECT 7"
    )
    assert made.returncode == 0, made.stderr

    assert ask(server, READER, READER_PASSWORD, "SELECT n FROM fact").stdout == "7\n"
    for attempt in ("INSERT INTO fact SELECT 8", "DROP TABLE fact", "CREATE TABLE mine (n int)"):
        refused = ask(
            server, READER, READER_PASSWORD, f"SET default_transaction_read_only=off; {attempt}"
        )
        assert refused.returncode != 0
        assert "permission denied" in refused.stderr or "must be owner" in refused.stderr
    assert ask(server, WRITER, WRITER_PASSWORD, "TABLE fact").stdout == "7\n"


def test_preparing_again_changes_a_password_and_keeps_the_data(server: Postgres) -> None:
    ask(server, WRITER, WRITER_PASSWORD, "CREATE TABLE kept (n int); INSERT INTO kept SELECT 1")

    prepare_database(server, writer=WRITER_PASSWORD, reader="another-reader-password")

    assert ask(server, READER, "another-reader-password", "TABLE kept").stdout == "1\n"
    assert ask(server, READER, READER_PASSWORD, "TABLE kept").returncode != 0
    prepare_database(server, writer=WRITER_PASSWORD, reader=READER_PASSWORD)


def test_no_password_stands_in_the_servers_log(server: Postgres) -> None:
    with pytest.raises(LaunchError):
        server.execute("ALTER ROLE nobody_here PASSWORD 'canary-4711'")

    log = server.log.read_text()
    assert "canary-4711" not in log
    assert server.password not in log
    assert WRITER_PASSWORD not in log


def test_acknowledged_rows_survive_kill_9(tmp_path: Path) -> None:
    with postgres_server(tmp_path / "pg", durable=True) as server:
        server.execute("CREATE TABLE t (n int)")
        for n in range(3):
            server.execute(f"INSERT INTO t VALUES ({n})")
            server.kill9()
            server.start()

        assert server.execute("SELECT n FROM t ORDER BY n").split() == ["0", "1", "2"]


def test_a_second_start_is_quick_and_keeps_port_and_data(tmp_path: Path) -> None:
    with postgres_server(tmp_path / "pg") as server:
        server.execute("CREATE TABLE t AS SELECT 1 AS n")
        port = server.port
        server.stop(StopMode.FAST)
        began = time.monotonic()
        server.start()

        assert time.monotonic() - began < 5
        assert server.port == port
        assert server.execute("TABLE t") == "1"


def test_a_stale_pid_file_that_names_another_program_does_not_stop_a_start(tmp_path: Path) -> None:
    with postgres_server(tmp_path / "pg") as server:
        pid_file = server.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        server.kill9()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

        server.start()

        assert server.execute("SELECT 1") == "1"


PARENT = """
import sys, time
from pathlib import Path
from tests.support.nats import nats_server
from tests.support.postgres import postgres_server
home = Path(sys.argv[1])
with nats_server(home / "nats") as nats, postgres_server(home / "pg") as postgres:
    (home / "pids.new").write_text(f"{nats.pid} {postgres.pid}")
    (home / "pids.new").rename(home / "pids")
    time.sleep(60)
"""


def running_in(directory: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has ended, or is not ours
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_launcher(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stderr=subprocess.DEVNULL
    ) as parent:
        eventually_sync((tmp_path / "pids").exists, within=60)
        assert len(running_in(tmp_path)) > 2  # nats-server, postgres and its children

        parent.send_signal(number)
        parent.wait()

        eventually_sync(lambda: not running_in(tmp_path), within=20)


async def test_jetstream_keeps_what_it_acknowledged_over_kill_9(nats: Nats) -> None:
    client = await nats_client.connect(nats.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    for n in range(20):
        await client.jetstream().publish("kept.a", str(n).encode())
    await client.close()

    nats.kill9()
    nats.start()

    client = await nats_client.connect(nats.url)
    state = (await client.jetstream().stream_info("KEPT")).state
    await client.close()
    assert state.messages == 20


def test_a_faulty_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="ended"), nats_server(tmp_path, "no_such_key: 1\n"):
        pass
