"""PostgreSQL, logical: `pg_dump` and `pg_restore` of the server's own major version."""

from services.executor.engines.postgresql.engine import Postgresql

__all__ = ["Postgresql"]
