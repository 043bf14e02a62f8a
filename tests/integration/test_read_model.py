"""Errors of the read model are told as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import column, func, literal, select, table

from services.launcher.postgres import StopMode
from shared.errors import InvalidInputError, UnavailableError
from shared.readmodel.reader import QueryRefusedError, read_model
from tests.support.postgres import Postgres, postgres_server


async def test_a_wrong_query_is_not_taken_for_a_server_that_is_away(postgres: Postgres) -> None:
    async with read_model(postgres.dsn()) as model:
        with pytest.raises(QueryRefusedError, match="42P01"):
            await model.rows(select(column("x")).select_from(table("nowhere")))
        with pytest.raises(QueryRefusedError, match="42883"):
            await model.rows(select(func.no_such_function(1)))
        with pytest.raises(QueryRefusedError):
            async for _ in model.portions(select(column("x")).select_from(table("nowhere"))):
                pass
        with pytest.raises(InvalidInputError):
            await model.rows(select(literal("a\x00b")))
        assert (await model.rows(select(literal(1))))[0][0] == 1


async def test_a_server_that_is_away_is_told_as_that_and_comes_back(tmp_path: Path) -> None:
    with postgres_server(tmp_path / "pg") as server:
        async with read_model(server.dsn()) as model:
            assert (await model.rows(select(literal(1))))[0][0] == 1
            server.stop(StopMode.IMMEDIATE)
            for _ in range(3):
                with pytest.raises(UnavailableError):
                    await model.rows(select(literal(1)))
            server.start()
            assert (await model.rows(select(literal(1))))[0][0] == 1
