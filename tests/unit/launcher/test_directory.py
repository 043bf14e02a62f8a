"""The data directory and the ports of an installation."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.launcher.directory import DataDirectory
from services.launcher.errors import DirectoryInUseError, LaunchError
from services.launcher.ports import first_free_port, free_port, is_free


def test_the_directory_is_private_also_if_it_existed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with DataDirectory(tmp_path).locked():
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        assert {
            folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir() if folder.is_dir()
        } == {0o700}


def test_a_second_launcher_is_refused_and_told_which_process_is_there(tmp_path: Path) -> None:
    with (
        DataDirectory(tmp_path).locked(),
        pytest.raises(DirectoryInUseError, match=r"in use by process \d+"),
        DataDirectory(tmp_path).locked(),
    ):
        pass

    with DataDirectory(tmp_path).locked():
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(LaunchError, match="file/home"),
        DataDirectory(tmp_path / "file/home").locked(),
    ):
        pass


def test_the_environment_names_the_directory() -> None:
    assert DataDirectory.from_environment({"HOLDFAST_HOME": "/srv/h"}).root == Path("/srv/h")
    assert DataDirectory.from_environment({}).root == Path.home() / ".holdfast"


def test_the_next_free_port_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert not is_free(port)
        assert port < first_free_port(port) < port + 100
    assert is_free(free_port())
