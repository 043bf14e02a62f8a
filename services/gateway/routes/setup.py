"""The first administrator, made once with the token that `holdfast up` prints."""

from __future__ import annotations

import hmac
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody
from msgspec import Meta
from uuid_utils.compat import uuid7

from services.gateway import claims
from services.gateway.accounts import Account, NewAccount
from services.gateway.appending import land
from services.gateway.dependencies import Dependencies
from services.gateway.errors import SetupDoneError, WrongTokenError
from services.gateway.injection import Deps
from services.gateway.passwords import LONGEST, SHORTEST
from services.gateway.representations import Input, Name
from services.gateway.rights import Right
from services.gateway.signing_in import SignedIn, address_of, hand_out, signing_in
from shared.bus import Draft, Expect, WrongSequenceError
from shared.messages.settings import UserSetting
from shared.messages.values import Role

Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+$")
]
NewPassword = Annotated[
    str, Meta(min_length=SHORTEST, max_length=LONGEST, extra_json_schema={"writeOnly": True})
]
FIRST_ADMIN = claims.claim_key("user", "first-admin")


class Setup(Input, frozen=True, kw_only=True):
    """The first administrator, and the one-time token that allows it."""

    token: Annotated[str, Meta(max_length=200, extra_json_schema={"writeOnly": True})]
    name: Name
    email: Email
    password: NewPassword
    cookies: bool = False

    def __repr__(self) -> str:
        return "Setup(***)"


class SetupState(msgspec.Struct, frozen=True):
    """Whether the first administrator is still to be made, and whether all data is made up."""

    needed: bool
    sample_data: bool = False


@get("/setup", opt={"right": Right.PUBLIC}, tags=["setup"], operation_id="get_setup")
async def get_setup(deps: Deps) -> SetupState:
    """Say whether the first administrator is still to be made."""
    return SetupState(needed=not await _done(deps), sample_data=deps.settings.sample_data)


@post("/setup", opt={"right": Right.PUBLIC}, tags=["setup"], operation_id="set_up", status_code=201)
async def set_up(
    data: JSONBody[Setup], request: Request[Any, Any, Any], deps: Deps
) -> Response[SignedIn]:
    """Make the first administrator and sign in. Works once, with the one-time token."""
    if await _done(deps):
        raise SetupDoneError("the first administrator exists already")
    path = Path(deps.settings.admin_token_file) if deps.settings.admin_token_file else None
    if path is None or not _is_right(path, data.token):
        raise WrongTokenError("the one-time token is wrong")
    account = await _make(data, request, deps)
    with suppress(OSError):  # a read-only mount: the claim alone keeps it from working again
        path.unlink(missing_ok=True)
    opened = await deps.sessions.open(account.id, await address_of(request, deps, account.id))
    return hand_out(deps, opened, account, cookies=data.cookies, status=201)


async def _done(deps: Dependencies) -> bool:
    held, _ = await claims.holder(deps, FIRST_ADMIN)
    return held is not None


def _is_right(path: Path, token: str) -> bool:
    try:
        expected = path.read_text().strip()
    except OSError:
        return False
    return bool(expected) and hmac.compare_digest(expected.encode(), token.strip().encode())


async def _make(data: Setup, request: Request[Any, Any, Any], deps: Dependencies) -> Account:
    user_id = str(uuid7())
    account = NewAccount(
        name=data.name,
        email=data.email.strip(),
        password_hash=await deps.passwords.hash(data.password),
        role=Role.ADMIN,
    )
    sealed = await deps.accounts.sealed(user_id, account)
    setting: UserSetting = msgspec.structs.replace(
        sealed, actor=user_id, request_id=request.scope["state"]["request_id"]
    )
    first = await claims.taking(deps, FIRST_ADMIN, setting, purpose="first-admin")
    email = await claims.taking(deps, deps.accounts.email_claim(data.email), setting)
    try:
        # The claim expects 0: of any number of requests with the right token, one wins.
        await land(
            deps,
            Draft(first.message, Expect(0)),
            email,
            Draft(setting, Expect(0)),
            await signing_in(request, deps, user_id),
        )
    except WrongSequenceError as error:
        raise SetupDoneError("the first administrator was made at this moment") from error
    return Account(
        id=user_id, name=account.name, email=account.email, role=account.role, disabled=False
    )


ROUTES = [
    get_setup,
    set_up,
]
