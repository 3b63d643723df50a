"""Schema versions by Alembic: a new database is made, an older one upgraded, a newer one refused."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

#: The newest revision in migrations/versions.
HEAD = "0023"
_ADVISORY_LOCK = 0x48494553  # any number that no other user of the database takes


class SchemaProblem(Exception):
    """The database cannot be used by this version; the text says what to do."""


def version(connection: Connection) -> str | None:
    """Return the schema version of a database; None where it has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def bring_up_to_date(engine: Engine, data_dir: Path, before_first: Callable[[], object] = lambda: None) -> None:
    """Upgrade the database to HEAD; `before_first` runs, alone among all processes, before a new one is made."""
    try:
        with engine.connect() as connection:
            found = version(connection)
            if found != HEAD:
                with _alone(connection, data_dir):
                    _upgrade(connection, version(connection), before_first)
    except OperationalError as error:
        raise SchemaProblem(f"The database cannot be opened: {error.orig}") from error


def _upgrade(connection: Connection, found: str | None, before_first: Callable[[], object]) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if found == HEAD:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaProblem(
            f"The database has schema version {found}, which this version of the server does not know (it knows up to "
            f"{HEAD}): it was written by a newer one. Start that version, or restore a backup."
        )
    if found is None and (strangers := set(inspect(connection).get_table_names())):
        raise SchemaProblem(
            f"The database has tables ({', '.join(sorted(strangers)[:5])}) but no schema version: it is not one of "
            "this server's. Name an empty database."
        )
    if found is None:
        before_first()
    command.upgrade(config, "head")
    connection.commit()


@contextmanager
def _alone(connection: Connection, data_dir: Path) -> Iterator[None]:
    """Let one process at a time make or upgrade the schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        try:
            yield
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()
        return
    (data_dir / "locks").mkdir(parents=True, exist_ok=True)
    with (data_dir / "locks" / "schema.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.rollback()  # what was read before the lock may be old
        yield
