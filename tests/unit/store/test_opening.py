"""Opening, and refusing to open, a data directory."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from hie.settings import Settings
from hie.store.models import SQLITE_ONLY, metadata
from hie.store.schema import HEAD
from hie.store.store import Store, StoreProblem
from tests.machine_steps import bound


def _belongs(dialect: str, item: Any, name: str) -> bool:
    """Some tables and indexes are of one dialect only, which Alembic's comparison does not know."""
    table = getattr(getattr(item, "table", item), "name", name)
    if dialect == "sqlite":
        return name not in ("ix_resource_tokens", "ix_past_version_tokens", "ix_contained_tokens")
    return table not in SQLITE_ONLY


def test_the_migrations_make_the_tables_of_the_models(settings: Settings) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    Store.open(settings).close()
    engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        options = {"include_object": lambda item, name, kind, *_: _belongs(engine.dialect.name, item, name)}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(settings: Settings) -> None:
    engine = create_engine(settings.sqlalchemy_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreProblem, match=rf"schema version 9999.*up to {HEAD}"):
        Store.open(settings)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_database_of_somebody_else_is_refused_and_left_alone(settings: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(StoreProblem, match="invoices"):
        Store.open(replace(settings, database_url=url))
    assert inspect(engine).get_table_names() == ["invoices"]
    engine.dispose()


def test_records_without_their_key_file_are_not_opened_and_no_new_key_is_made(settings: Settings) -> None:
    settings.root_key_file.unlink()
    with pytest.raises(StoreProblem, match=r"key file .* is missing"):
        Store.open(settings)
    assert not settings.root_key_file.exists()


def test_another_key_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = replace(Settings(), data_dir=tmp_path / "other")
    Store.open(other).close()
    with pytest.raises(StoreProblem, match="not the one of this database"):
        Store.open(replace(settings, key_file=other.root_key_file))


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_unreadable_data_directory_is_refused_in_words(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreProblem, match="cannot be made"):
        Store.open(replace(settings, data_dir=tmp_path / "file" / "below"))


def _open(settings: Settings, barrier: object, answers: object) -> None:
    try:
        barrier.wait(60)  # type: ignore[attr-defined]
        Store.open(settings).close()
        answers.put("opened")  # type: ignore[attr-defined]
    except BaseException as error:
        answers.put(repr(error))  # type: ignore[attr-defined]
        raise


def test_several_processes_may_start_first_on_an_empty_directory(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest, database_kind: str
) -> None:
    empty = replace(settings, data_dir=tmp_path / "empty", database_url="")
    if database_kind == "postgresql":
        server = request.getfixturevalue("postgres")
        name = server.create()
        empty = replace(empty, database_url=server.url(name))
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_open, args=(empty, barrier, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=120) for _ in processes] == ["opened"] * 4
    for process in processes:
        process.join(timeout=60)
    if database_kind == "postgresql":
        server.drop(name)


def test_a_store_that_is_closed_holds_no_files(settings: Settings) -> None:
    Store.open(settings).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        store = Store.open(settings)
        bound(store).transact(lambda inside: inside.create("Patient", {"resourceType": "Patient"}))
        store.close()
    assert len(os.listdir("/proc/self/fd")) <= before
