"""Alembic's environment: runs versions on the connection that `desk.database.connection` hands over."""

from alembic import context

from desk.database.tables import DeskTable

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=DeskTable.metadata,
    # SQLite cannot alter a table: it is made anew and copied.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
