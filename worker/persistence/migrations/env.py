"""Alembic's entry: runs the migrations on the connection that `worker.persistence.schema` hands it."""

from alembic import context

from worker.persistence.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
