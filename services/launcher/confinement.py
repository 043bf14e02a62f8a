"""How to run a program that refuses root when we are root, without touching anybody's folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from services.launcher.errors import LaunchError

NOBODY = 65534

# Inside the user namespace we are user 1000, outside still root: our folders stay ours.
USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


def confinement(directory: Path) -> Sequence[str]:
    """The argv prefix under which a program is not root and can write to `directory`.

    Empty for an ordinary user. Where user namespaces are forbidden, the directory (ours alone,
    never a parent of it) is given to an unprivileged user, if the parents let that user pass.
    """
    if os.geteuid() != 0:
        return ()
    if _can_write(USER_NAMESPACE, directory):
        return USER_NAMESPACE
    prefix = _other_user(_owner_of_parents(directory))
    given_away = directory.stat()
    for path in (directory, *directory.rglob("*")):
        os.chown(path, int(prefix[2]), int(prefix[4]), follow_symlinks=False)
    if _can_write(prefix, directory):
        return prefix
    os.chown(directory, given_away.st_uid, given_away.st_gid)
    raise LaunchError(
        f"PostgreSQL refuses to run as root, and no other user can reach {directory}",
        fix="allow user namespaces, run as an ordinary user, or set HOLDFAST_HOME to a directory"
        " whose parents other users may enter, such as /var/lib/holdfast",
    )


def _other_user(user: int) -> Sequence[str]:
    return ("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--")


def _owner_of_parents(directory: Path) -> int:
    owners = (parent.stat().st_uid for parent in directory.resolve().parents)
    return next((owner for owner in owners if owner != 0), NOBODY)


def _can_write(prefix: Sequence[str], directory: Path) -> bool:
    tried = subprocess.run(
        [*prefix, "test", "-w", str(directory), "-a", "-x", str(directory)],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0
