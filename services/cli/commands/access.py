"""Signing in and out."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import App, Parameter

from services.cli.client import anonymous, connected, login_of
from services.cli.output import note
from services.cli.profile import Profile, refuse_in_clear
from services.cli.secrets_in import secret
from services.launcher.directory import DataDirectory

Url = Annotated[str | None, Parameter(help="The gateway; by default the one on this machine")]
PasswordFile = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="File with the password, or - for stdin")
]
TokenFile = Annotated[
    str | None,
    Parameter(allow_leading_hyphen=True, help="File with the one-time token, or - for stdin"),
]


async def login(*, email: str, url: Url = None, password_file: PasswordFile = None) -> None:
    """Sign in; the session is kept in ~/.config/holdfast, readable by you only."""
    profile = Profile(os.environ)
    where = refuse_in_clear(url) if url else profile.url()
    password = secret("password", password_file)
    async with anonymous(profile, where) as client:
        answer = await client.post("/auth/login", {"email": email, "password": password})
    profile.remember(login_of(where, answer))
    note(f"Signed in at {where} as {answer['account']['name']}.")


async def setup(
    *,
    name: str,
    email: str,
    url: Url = None,
    token_file: TokenFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Make the first administrator with the one-time token, and sign in.

    On the machine of `holdfast up` the token is found by itself.
    """
    profile = Profile(os.environ)
    where = refuse_in_clear(url) if url else profile.url()
    own = DataDirectory.from_environment(os.environ).root / "admin_token"
    token = secret("one-time token", token_file or (str(own) if own.exists() else None))
    password = secret("password", password_file)
    body = {"token": token, "name": name, "email": email, "password": password}
    async with anonymous(profile, where) as client:
        answer = await client.post("/setup", body)
    profile.remember(login_of(where, answer))
    note(f"{name} is the first administrator of {where}, and signed in.")


async def logout() -> None:
    """End the session, here and at the gateway."""
    async with connected() as client:
        await client.post("/auth/logout")
    Profile(os.environ).forget()
    note("Signed out.")


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (login, setup, logout):
        app.command(command)
