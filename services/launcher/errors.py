"""What can go wrong while the launcher starts programs on this machine."""

from __future__ import annotations

from shared.errors import PlatformError


class LaunchError(PlatformError):
    """A program could not be started, or ended before it was ready."""

    code = "launcher.start_failed"
    default_fix = "read the log file named above"


class DirectoryInUseError(PlatformError):
    """Another launcher runs on this data directory."""

    code = "launcher.directory_in_use"
    default_fix = "stop it first, or set HOLDFAST_HOME to another directory"
