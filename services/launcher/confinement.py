"""How to run a program that refuses root when we are root, without touching anybody's folders."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from services.launcher.errors import LaunchError

NOBODY = 65534  # in the user database of every distribution, unlike 1000

# Inside the user namespace we are nobody, outside still ourselves: our folders stay ours.
USER_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")


def confinement(directory: Path) -> Sequence[str]:
    """The argv prefix under which a program is not root and can write to `directory`.

    Empty for an ordinary user who has a name (PostgreSQL also refuses a bare number, as containers
    have them). Where user namespaces are forbidden, the directory (ours alone,
    never a parent of it) is given to an unprivileged user, if the parents let that user pass.
    """
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return ()
    if _can_write(USER_NAMESPACE, directory):
        return USER_NAMESPACE
    if user != 0:
        raise LaunchError(
            f"PostgreSQL refuses user {user}, who has no name, and user namespaces are forbidden",
            fix="give the user a line in /etc/passwd",
        )
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


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


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
