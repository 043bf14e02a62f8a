"""Downloads: a link that works once, and what it leads to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from sqlalchemy import Row
from uuid_utils.compat import uuid7

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.archive_stream import Content, decrypted, encrypted, exactly
from services.gateway.callers import Caller
from services.gateway.checkpointed import is_checkpointed
from services.gateway.dependencies import Dependencies
from services.gateway.download_source import granted_to, parts_of, source_of, whereabouts
from services.gateway.errors import LinkGoneError
from services.gateway.injection import Deps, Who
from services.gateway.links import LIVES, Found, Link, new_token
from services.gateway.representations import Accepted, Input
from services.gateway.rights import Right
from services.gateway.routes.backups import BACKUP
from services.gateway.scope import admit
from services.gateway.signing_in import address_of
from shared.archive.keys import RecipientKey
from shared.bus import Draft
from shared.errors import PlatformError
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupDownloaded,
    BackupDownloadFailed,
    BackupDownloadRequested,
)
from shared.messages.values import Problem

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


OnlyReady = Annotated[
    bool,
    QueryParameter(description="Only tell whether it can be followed now, by 204; it stays unused"),
]


class NewDownload(Input, frozen=True, kw_only=True):
    """`decrypt`: the dump itself, which needs the right backups.decrypt, too."""

    decrypt: bool = False


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A link for the account that asked, and nobody else. It works once, until `valid_until`.

    It answers 202 until a signed audit checkpoint covers the request.
    """

    id: UUID
    href: str
    decrypt: bool
    valid_until: datetime

    def __repr__(self) -> str:
        return f"Download(id={self.id!r})"


@post(
    "/backups/{backup_id:uuid}/download",
    opt={"right": Right.BACKUPS_DOWNLOAD},
    tags=["backups"],
    operation_id="download_backup",
    status_code=202,
)
async def download_backup(
    backup_id: FromPath[UUID],
    data: JSONBody[NewDownload],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Download]:
    """Ask for the archive of a backup; `Location` is the link."""
    row = await configured.admitted(deps, caller, Right.BACKUPS_DOWNLOAD, BACKUP, backup_id)
    if data.decrypt:
        await admit(deps, caller, Right.BACKUPS_DECRYPT, row.server_id)
    await whereabouts(deps, row)
    token, key = new_token(), RecipientKey.generate() if data.decrypt else None
    asked = BackupDownloadRequested(
        backup_id=backup_id,
        download_id=uuid7(),
        decrypt=data.decrypt,
        valid_until=deps.clock() + LIVES,
        recipient=key.public.text() if key else "",
        address=await address_of(request, deps, caller.user_id),
        actor=caller.actor,
        request_id=caller.request_id,
    )
    landed = await land(deps, Draft(asked))
    link = Link(
        user_id=caller.user_id,
        backup_id=backup_id,
        download_id=asked.download_id,
        decrypt=data.decrypt,
        request=asked.id,
        request_seq=landed.seq,
        valid_until=asked.valid_until,
        key=deps.links.wrapped(key) if key else "",
    )
    await deps.links.keep(token, link)
    href = f"/api/v1/downloads/{token}"
    shown = Download(
        id=asked.download_id, href=href, decrypt=data.decrypt, valid_until=asked.valid_until
    )
    return Response(shown, status_code=202, headers={"Location": href})


@get(
    "/downloads/{token:str}",
    opt={
        "right": Right.BACKUPS_DOWNLOAD,
        "streams": ("application/x-tar", "application/octet-stream"),
        "problems": {"409": "The archive cannot be given out"},
        "later": True,
    },
    tags=["backups"],
    operation_id="follow_download",
)
async def follow_download(
    token: FromPath[str], deps: Deps, caller: Who, *, ready: OnlyReady = False
) -> Response[Any]:
    """The bytes that a link leads to, once; 202 until the request is in a signed checkpoint.

    A tar of the encrypted archive's objects, or the dump itself. The length is told first, and
    every byte is checked on the way: what ends early is not whole.
    """
    found = await deps.links.find(token, caller.user_id)
    if found is None:
        raise LinkGoneError("there is no such link for this account")
    link = found.link
    row = await configured.admitted(deps, caller, Right.BACKUPS_DOWNLOAD, BACKUP, link.backup_id)
    if link.decrypt:
        await admit(deps, caller, Right.BACKUPS_DECRYPT, row.server_id)
    await whereabouts(deps, row)
    if not await is_checkpointed(deps, link.request_seq):
        return _later(token, link)
    if ready and not link.decrypt:
        return Response(None, status_code=204)
    source = await source_of(deps, row)
    if not link.decrypt:
        return await _sent(deps, caller, row, found, await encrypted(source))
    granted = await granted_to(deps, link)
    if granted is None:
        return _later(token, link)
    if ready:
        return Response(None, status_code=204)
    parts = await parts_of(deps, source, link, granted)
    return await _sent(deps, caller, row, found, await decrypted(source, parts))


def _later(token: str, link: Link) -> Response[Any]:
    accepted = Accepted(id=str(link.backup_id), href=f"/api/v1/downloads/{token}")
    return Response(accepted, status_code=202, headers={"Retry-After": "1"})


async def _sent(
    deps: Dependencies, caller: Caller, row: Row[Any], found: Found, content: Content
) -> Response[Any]:
    """Use the link up, say so in the log, and send the bytes."""
    if not await deps.links.use(found):
        await content.pieces.aclose()
        raise LinkGoneError("the link was used at this moment")
    link = found.link
    used = BackupDownloaded(
        id=uuid7(),
        backup_id=link.backup_id,
        download_id=link.download_id,
        decrypted=link.decrypt,
        actor=caller.actor,
        caused_by=link.request,
        request_id=caller.request_id,
    )
    await deps.bus.append(used)
    headers = {
        "Content-Length": str(content.size),
        "Content-Disposition": f'attachment; filename="{file_name(row, decrypted=link.decrypt)}"',
    }
    media_type = "application/octet-stream" if link.decrypt else "application/x-tar"
    return Stream(_watched(deps, used, content), media_type=media_type, headers=headers)


async def _watched(
    deps: Dependencies, used: BackupDownloaded, content: Content
) -> AsyncIterator[bytes]:
    """The bytes; where they turn out damaged, the log is told and the stream breaks off."""
    try:
        async for piece in exactly(content):
            yield piece
    except PlatformError as error:
        problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
        failed = BackupDownloadFailed(
            id=consequence(used.id, "failed"),
            backup_id=used.backup_id,
            download_id=used.download_id,
            problem=problem,
            actor=used.actor,
            caused_by=used.id,
            request_id=used.request_id,
        )
        await deps.bus.append(failed)
        raise


def file_name(row: Row[Any], *, decrypted: bool) -> str:
    """What a browser calls the file: harmless in a header and in every file system."""
    name = _UNSAFE.sub("_", row.database_name).strip("._-")[:80] or "backup"
    taken = (row.completed_at or row.requested_at).strftime("%Y%m%dT%H%M%SZ")
    return f"{name}-{taken}.{'dump' if decrypted else 'tar'}"


ROUTES = [
    download_backup,
    follow_download,
]
