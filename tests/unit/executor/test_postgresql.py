"""The parts of the engine `postgresql` that need no server."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

import msgspec
import pytest

from services.executor.engines import AnyEngine
from services.executor.engines.base import (
    ConnectionLostError,
    ContentDiffersError,
    NotADumpError,
    PermissionDeniedError,
    RequirementMissingError,
    ToolFailedError,
    ToolKilledError,
)
from services.executor.engines.postgresql.content import condensed, require_same
from services.executor.engines.postgresql.problems import of_tool
from services.executor.engines.postgresql.quoting import conninfo_database, password_line
from services.executor.engines.postgresql.toc import read_origin
from services.executor.runners.base import Exit
from services.launcher.postgres import bin_directory
from shared.messages.values import TableContent
from shared.plugins import schemas_of

CHARACTERS = "ab'\"\\ =;:$(){}`\n\t%&?-/@,ünï☃"


class Option(ctypes.Structure):
    """`PQconninfoOption` of libpq."""

    _fields_ = [
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    ]


def parsed(conninfo: str) -> dict[str, str]:
    """What libpq itself understands of a connection string."""
    folder = bin_directory(18).parents[1].with_suffix(".libs")
    library = ctypes.CDLL(str(next(Path(folder).glob("libpq-*.so.5.18"))))
    library.PQconninfoParse.restype = ctypes.POINTER(Option)
    error = ctypes.c_char_p()
    options = library.PQconninfoParse(conninfo.encode(), ctypes.byref(error))
    assert options, error.value
    found = {}
    for option in options:
        if option.keyword is None:
            break
        if option.val is not None:
            found[option.keyword.decode()] = option.val.decode()
    return found


def test_a_thousand_hostile_names_are_only_names_to_libpq() -> None:
    chance = random.Random(7)
    for _ in range(1000):
        name = "".join(chance.choices(CHARACTERS, k=chance.randint(1, 20)))
        assert parsed(conninfo_database(name)) == {"dbname": name}
    for name in ("postgresql://evil/db", "host=evil dbname=x", "' host=evil"):
        assert parsed(conninfo_database(name)) == {"dbname": name}


def test_a_password_is_one_field_of_one_line() -> None:
    assert password_line("a:b\\c") == "*:*:*:*:a\\:b\\\\c\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "-h"},
        {"host": "a,b"},
        {"host": "/tmp"},
        {"host": "a b"},
        {"host": "a\n"},
        {"host": ""},
        {"user": "a\0b"},
        {"password": "a\nb"},
        {"password": "a\n"},
        {"tls": "prefer"},
        {"port": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_could_mean_something_else_are_refused(wrong: dict[str, object]) -> None:
    config = {"kind": "postgresql", "host": "db.example", "user": "u"} | wrong

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(config), type=AnyEngine)


def test_the_password_is_marked_as_secret_and_never_shown() -> None:
    config = {"kind": "postgresql", "host": "::1", "user": "u", "password": "canary"}
    engine = msgspec.json.decode(msgspec.json.encode(config), type=AnyEngine)

    assert schemas_of(AnyEngine)["postgresql"]["properties"]["password"]["writeOnly"] is True
    assert "canary" not in repr(engine)
    assert engine.tls == "verify-full"


def test_a_form_is_titled_as_people_write_the_name() -> None:
    titles = {kind: schema["title"] for kind, schema in schemas_of(AnyEngine).items()}

    assert (titles["postgresql"], titles["redis"]) == ("PostgreSQL", "Redis")


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (Exit(status=1, errors="pg_dump: error: permission denied for t"), PermissionDeniedError),
        (Exit(status=1, errors='ERROR:  role "shop" does not exist'), RequirementMissingError),
        (Exit(status=1, errors="server closed the connection"), ConnectionLostError),
        (Exit(status=1, errors="Fehler: etwas Unbekanntes"), ToolFailedError),
        (Exit(status=None, signal=9, errors="permission denied"), ToolKilledError),
    ],
)
def test_the_last_words_of_a_tool_name_the_problem(ended: Exit, expected: type) -> None:
    problem = of_tool("pg_dump", ended)

    assert type(problem) is expected
    assert problem.cause
    assert problem.fix


@pytest.mark.parametrize("data", [b"", b"PGDMP", b"not a dump", b"PGDMP\x01\x20\x00\x04\x08\x01"])
async def test_what_is_no_dump_is_refused(data: bytes) -> None:
    async def source():  # type: ignore[no-untyped-def]  # an async generator of bytes
        yield data

    with pytest.raises(NotADumpError):
        await read_origin(source())


def entries(count: int, rows: int = 1) -> list[TableContent]:
    return [TableContent(name=f"t{number}", rows=rows) for number in range(count)]


def test_many_tables_become_one_entry_that_still_tells_any_difference() -> None:
    one = condensed(entries(11), limit=10)

    assert len(one) == 1
    assert one[0].rows == 11
    require_same(one, condensed(entries(11), limit=10))
    swapped = [*entries(9), TableContent(name="t9", rows=2), TableContent(name="t10", rows=0)]
    with pytest.raises(ContentDiffersError):
        require_same(one, condensed(swapped, limit=10))


@pytest.mark.parametrize("found", [entries(2), entries(4), entries(3, rows=2)])
def test_a_missing_an_added_and_a_changed_table_are_differences(found: list[TableContent]) -> None:
    with pytest.raises(ContentDiffersError):
        require_same(entries(3), found)
