"""What Alembic runs for each command: on the connection it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from shared.readmodel.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
context.run_migrations()
