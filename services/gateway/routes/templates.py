"""Templates: the words of notes."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import JSONBody
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InUseError, InvalidFieldsError
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from shared.messages.facts import BackupFailed
from shared.messages.settings import TemplateSetting
from shared.messages.values import Problem
from shared.notices.about import About
from shared.notices.templates import LONGEST_TEMPLATE, TemplateFaultError, checked, rendered
from shared.notices.wording import values_of
from shared.readmodel.tables import notification_rules, notification_templates

ChannelKind = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9_-]+$")]
Title = Annotated[
    str, Meta(max_length=500, description="The subject of a mail; one line of Jinja2")
]
Body = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_TEMPLATE,
        description="Jinja2 with values, filters, `if`, and `for one in notes`",
    ),
]


class NewTemplate(Input, frozen=True, kw_only=True):
    """A template as a caller writes it."""

    name: Name
    channel_kind: ChannelKind
    title: Title = ""
    body: Body


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template."""

    id: str
    name: str
    channel_kind: str
    title: str
    body: str
    created_at: datetime
    updated_at: datetime
    version: int


class TemplatePreview(Input, frozen=True, kw_only=True):
    """What to try. `of`: one failed backup, its recovery, or a digest of both."""

    title: Title = ""
    body: Body
    of: Literal["fact", "recovered", "digest"] = "fact"


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What the template makes of an example: plain text, escaped only by the channel."""

    title: str
    body: str


def template_of(row: Row[Any]) -> Template:
    """A row as the API shows it."""
    return convert(row, Template)


TEMPLATE = Noun("template", notification_templates, "/notifications/templates", template_of)


@post(
    "/notifications/templates/preview",
    opt={"right": Right.NOTIFICATIONS_TEST},
    tags=["notifications"],
    operation_id="preview_template",
    status_code=200,
)
async def preview_template(data: JSONBody[TemplatePreview]) -> Response[Previewed]:
    """Show what a template makes of an example, before it is saved."""
    await _refuse_faulty(data.title, data.body)
    try:
        words = await asyncio.to_thread(rendered, data.title, data.body, _example(data.of))
    except TemplateFaultError as error:
        raise InvalidFieldsError(error.cause, [InputFault("/body", error.cause)]) from error
    return Response(Previewed(title=words.title, body=words.body), status_code=200)


def _example(of: str) -> dict[str, Any]:
    about = About(
        server="shop", environment="production", database="orders", tags=["example"], store="cellar"
    )
    problem = Problem(
        code="engine.unreachable",
        cause="nothing answers at the address",
        fix="check host, port and firewall",
    )
    fact = BackupFailed(backup_id=UUID(int=1), run_id=UUID(int=2), attempt=1, problem=problem)
    one = values_of(fact, about, recovered=of == "recovered", count=2)
    if of != "digest":
        return {**one, "digest": False, "notes": [one]}
    notes = [one, values_of(fact, about)]
    text = f"Holdfast: {len(notes)} notes that waited"
    return {**one, "text": text, "type": "digest", "count": 2, "digest": True, "notes": notes}


async def _refuse_faulty(title: str, body: str) -> None:
    for name, source in (("title", title), ("body", body)):
        try:
            await asyncio.to_thread(checked, source)
        except TemplateFaultError as error:
            raise InvalidFieldsError(
                "the template cannot be used", [InputFault(f"/{name}", error.cause)]
            ) from error


async def _setting(
    _deps: Dependencies, change: Change, data: NewTemplate, _before: Row[Any] | None
) -> TemplateSetting:
    await _refuse_faulty(data.title, data.body)
    return TemplateSetting(
        **change.said_by(),
        name=data.name,
        channel_kind=data.channel_kind,
        title=data.title,
        body=data.body,
    )


async def _refuse_used(deps: Dependencies, row: Row[Any]) -> None:
    using = select(notification_rules.c.id).where(notification_rules.c.template_id == row.id)
    if await deps.read_model.one(using.limit(1)) is not None:
        raise InUseError("a rule uses this template", fix="change its rules first")


ROUTES = [
    preview_template,
    *routes_of(
        Crud(
            noun=TEMPLATE,
            plural="templates",
            tag="notifications",
            given=NewTemplate,
            shown=Template,
            read=Right.NOTIFICATIONS_READ,
            write=Right.NOTIFICATIONS_WRITE,
            setting=_setting,
            removable=_refuse_used,
            says={
                "list": "List the templates by name.",
                "create": "Save the words of notes for channels of one kind.",
                "get": "Show one template.",
                "replace": "Replace a template.",
                "delete": "Delete a template that no rule uses.",
            },
        )
    ),
]
