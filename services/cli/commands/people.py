"""Accounts of people, their sessions, and API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from services.cli.client import Client, connected
from services.cli.commands.access import PasswordFile
from services.cli.errors import UnknownNameError
from services.cli.output import Output, note, show, show_one
from services.cli.secrets_in import secret

RoleName = Literal["viewer", "operator", "admin"]
Environments = Annotated[
    tuple[str, ...],
    Parameter(name="--environment", negative="", help="Only on servers of this environment"),
]
Groups = Annotated[
    tuple[str, ...], Parameter(name="--group", negative="", help="Only on servers of this group")
]
Without = Annotated[
    tuple[str, ...],
    Parameter(name="--without", negative="", help="A right to take away, as backups.download"),
]
Rights = Annotated[
    tuple[str, ...], Parameter(name="--right", negative="", help="What the key may do")
]
Networks = Annotated[
    tuple[str, ...], Parameter(name="--address", negative="", help="Only from this network")
]
USERS = ("id", "name", "email", "role", "grants", "disabled", "version")
KEYS = ("id", "name", "rights", "grants", "addresses", "expires_at", "last_used_at", "version")


async def add_user(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    email: str,
    role: RoleName = "viewer",
    environments: Environments = (),
    groups: Groups = (),
    without: Without = (),
    password_file: PasswordFile = None,
    output: Output = None,
) -> None:
    """Make an account.

    holdfast user add Grace --email grace@example.com --role operator --environment staging
    """
    password = secret("password", password_file)
    async with connected() as client:
        body = {
            "name": name,
            "email": email,
            "role": role,
            "grants": await _grants(client, role, environments, groups, without),
            "password": password,
        }
        show_one(await client.post("/users", body), output)


async def list_users(*, output: Output = None) -> None:
    """List the accounts."""
    async with connected() as client:
        show(await client.every("/users"), USERS, output)


async def change_role(  # noqa: PLR0913 - an argument per option
    user: str,
    role: RoleName,
    *,
    environments: Environments = (),
    groups: Groups = (),
    without: Without = (),
    output: Output = None,
) -> None:
    """Give an account, named by address or id, another role or scope."""
    async with connected() as client:
        grants = await _grants(client, role, environments, groups, without)
        show_one(await _change(client, user, role=role, grants=grants), output)


async def disable_user(user: str, *, output: Output = None) -> None:
    """Disable an account: its sessions and API keys end."""
    async with connected() as client:
        show_one(await _change(client, user, disabled=True), output)


async def enable_user(user: str, *, output: Output = None) -> None:
    """Let a disabled account sign in again."""
    async with connected() as client:
        show_one(await _change(client, user, disabled=False), output)


async def reset_password(user: str, *, password_file: PasswordFile = None) -> None:
    """Give an account another password; its sessions end."""
    password = secret("new password", password_file)
    async with connected() as client:
        found = await _user(client, user)
        await client.post(f"/users/{found['id']}/password", {"password": password})
    note("The password is another one, and the account's sessions have ended.")


async def delete_user(user: str) -> None:
    """Delete an account, and erase what is personal of it, also from the log."""
    async with connected() as client:
        found = await _user(client, user)
        await client.delete(f"/users/{found['id']}", version=found["version"])
    note("The account is deleted, and what was personal of it is erased.")


async def list_sessions(*, user: str | None = None, output: Output = None) -> None:
    """List the own sessions, or those of a USER."""
    async with connected() as client:
        path = (
            "/sessions" if user is None else f"/users/{(await _user(client, user))['id']}/sessions"
        )
        columns = ("id", "opened_at", "used_at", "address", "current")
        show(await client.every(path), columns, output)


async def end_session(session: str | None = None, *, user: str | None = None) -> None:
    """End one of the own sessions; with --user one of theirs, or all of them."""
    async with connected() as client:
        base = "" if user is None else f"/users/{(await _user(client, user))['id']}"
        if user is None and session is None:
            raise UnknownNameError("name the session to end", fix="holdfast session list")
        await client.delete(f"{base}/sessions" + (f"/{session}" if session else ""))
    note("Ended.")


async def add_token(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    rights: Rights,
    environments: Environments = (),
    groups: Groups = (),
    addresses: Networks = (),
    expires_at: str | None = None,
    token_file: Annotated[
        str | None, Parameter(help="Write the token there, not to stdout")
    ] = None,
    output: Output = None,
) -> None:
    """Make an API key of the own account. Its token is shown once.

    holdfast token add nightly --right backups.create --right runs.read --token-file ./token
    """
    async with connected() as client:
        role: RoleName = "admin"
        body = {
            "name": name,
            "rights": list(rights),
            "grants": await _grants(client, role, environments, groups, ()),
            "addresses": list(addresses),
            "expires_at": expires_at,
        }
        made = await client.post("/api-keys", body)
    if token_file is not None:
        _keep(Path(token_file), made.pop("token"))
    show_one(made, output)


async def list_tokens(*, output: Output = None) -> None:
    """List API keys."""
    async with connected() as client:
        show(await client.every("/api-keys"), KEYS, output)


async def revoke_token(token: str) -> None:
    """Revoke an API key, named by its name or id."""
    async with connected() as client:
        found = await client.named("/api-keys", token)
        await client.delete(f"/api-keys/{found['id']}", version=found["version"])
    note("Revoked.")


def _keep(path: Path, token: str) -> None:
    """Write the token where nobody else can read it."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(f"{token}\n")


async def _user(client: Client, user: str) -> dict[str, Any]:
    for found in await client.every("/users"):
        if user.lower() in {found["id"], found["email"].lower()}:
            account: dict[str, Any] = found
            return account
    raise UnknownNameError(f"there is no account {user}", fix="holdfast user list")


async def _change(client: Client, user: str, **fields: Any) -> Any:
    found = await _user(client, user)
    kept = {name: found[name] for name in ("name", "email", "role", "grants", "disabled")}
    return await client.put(f"/users/{found['id']}", {**kept, **fields}, version=found["version"])


async def _grants(
    client: Client,
    role: RoleName,
    environments: tuple[str, ...],
    groups: tuple[str, ...],
    without: tuple[str, ...],
) -> list[dict[str, Any]]:
    """One grant with all limits; none where there is no limit."""
    if not environments and not groups and not without:
        return []
    ids = [(await client.named("/server-groups", group))["id"] for group in groups]
    return [
        {
            "role": role,
            "environments": list(environments),
            "group_ids": ids,
            "without": list(without),
        }
    ]


def register(app: App) -> None:
    """Add the commands of this file."""
    users = App(name="user", help="The accounts of people.")
    users.command(add_user, name="add")
    users.command(list_users, name="list")
    users.command(change_role, name="role")
    users.command(disable_user, name="disable")
    users.command(enable_user, name="enable")
    users.command(reset_password, name="password")
    users.command(delete_user, name="delete")
    sessions = App(name="session", help="Where an account is signed in.")
    sessions.command(list_sessions, name="list")
    sessions.command(end_session, name="end")
    tokens = App(name="token", help="API keys: for programs.")
    tokens.command(add_token, name="add")
    tokens.command(list_tokens, name="list")
    tokens.command(revoke_token, name="revoke")
    for noun in (users, sessions, tokens):
        app.command(noun)
