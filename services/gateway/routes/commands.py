"""Command templates: saved commands with blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Row

from services.gateway.callers import Caller
from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.grants import holds, in_roles
from services.gateway.representations import Input, Name, Text, convert
from services.gateway.rights import Right
from shared.messages.settings import CommandSetting
from shared.messages.settings.commands import CommandVariable
from shared.messages.values import Role
from shared.readmodel.tables import commands

Kind = Literal["shell", "docker", "kubernetes"]
VariableType = Literal["text", "integer", "boolean", "choice"]
VariableName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Value = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]
_BLANK = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class NewVariable(Input, frozen=True, kw_only=True):
    """A blank of a template, `{{ name }}`, and what may fill it."""

    name: VariableName
    type: VariableType = "text"
    description: Text = ""
    required: bool = True
    default: Value | None = None
    choices: Annotated[list[Value], Meta(max_length=100)] = []


class NewCommand(Input, frozen=True, kw_only=True):
    """A command template. `roles` are those that may execute it."""

    name: Name
    description: Text = ""
    kind: Kind
    template: Annotated[str, Meta(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
    variables: Annotated[list[NewVariable], Meta(max_length=50)] = []
    timeout_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    roles: Annotated[list[Role], Meta(min_length=1, max_length=3)]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command template. `may_execute`: whether the caller may, on some server at least; `GET
    /servers?executes=` tells on which."""

    id: str
    name: str
    description: str
    kind: Kind
    template: str
    variables: list[CommandVariable]
    timeout_s: int
    roles: list[Role]
    may_execute: bool = False
    created_at: datetime
    updated_at: datetime
    version: int


def command_of(row: Row[Any]) -> Command:
    """A row as the API shows it."""
    return convert(row, Command)


COMMAND = Noun("command", commands, "/commands", command_of)


def _seen_by(caller: Caller) -> Noun[Command]:
    """The noun, as it is shown to a caller."""
    return msgspec.structs.replace(COMMAND, view=lambda row: _shown(row, caller))


def _shown(row: Row[Any], caller: Caller) -> Command:
    command = command_of(row)
    narrowed = in_roles(caller, command.roles)
    may_execute = narrowed is not None and holds(narrowed, Right.COMMANDS_EXECUTE)
    return msgspec.structs.replace(command, may_execute=may_execute)


async def _setting(
    _deps: Dependencies, change: Change, data: NewCommand, _before: Row[Any] | None
) -> CommandSetting:
    if faults := [*_faults(data)]:
        raise InvalidFieldsError("template and variables do not fit each other", faults)
    return CommandSetting(
        **change.said_by(),
        name=data.name,
        description=data.description,
        kind=data.kind,
        template=data.template,
        variables=[
            CommandVariable(**{name: getattr(one, name) for name in one.__struct_fields__})
            for one in data.variables
        ],
        timeout_s=data.timeout_s,
        roles=sorted({role.value for role in data.roles}),
    )


def _faults(data: NewCommand) -> Iterator[InputFault]:
    """Every blank is declared once, every variable is used, every default is one of its values."""
    blanks, declared = {*_BLANK.findall(data.template)}, [one.name for one in data.variables]
    for blank in sorted(blanks - {*declared}):
        yield InputFault("/template", f"no variable is called {blank[:64]!r}")
    for place, one in enumerate(data.variables):
        at = f"/variables/{place}"
        if one.name not in blanks:
            yield InputFault(f"{at}/name", "the template has no such blank")
        if declared.index(one.name) != place:
            yield InputFault(f"{at}/name", "declared twice")
        if (one.type == "choice") != bool(one.choices):
            yield InputFault(f"{at}/choices", "what a choice has, and nothing else")
        if one.default is not None and not fits(one, one.default):
            yield InputFault(f"{at}/default", f"not a value of type {one.type}")


def fits(variable: NewVariable | CommandVariable, value: str) -> bool:
    """Whether a value may fill the blank."""
    match variable.type:
        case "integer":
            return re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII) is not None
        case "boolean":
            return value in {"true", "false"}
        case "choice":
            return value in variable.choices
        case _:
            return "\0" not in value


ROUTES = routes_of(
    Crud(
        noun=COMMAND,
        seen_by=_seen_by,
        plural="commands",
        tag="commands",
        given=NewCommand,
        shown=Command,
        read=Right.COMMANDS_READ,
        write=Right.COMMANDS_WRITE,
        setting=_setting,
        says={
            "list": "List the command templates by name.",
            "create": "Save a command template.",
            "get": "Show one command template.",
            "replace": "Replace a command template; what was asked for before keeps the old one.",
            "delete": "Delete a command template. Its executions stay in the history.",
        },
    )
)
