"""The index of past versions: what is erased leaves it, and `hie check` finds what does not belong, without reading
the store again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text

from hie.store import past
from hie.store.check import check
from hie.store.models import past_version, token_past
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.builders import patient

Bind = Callable[..., ResourceStore]
ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def versions(bind: Bind) -> Bind:
    """Two patients of four versions each."""
    for id_ in ("a", "b"):
        bind().transact(lambda inside, id_=id_: inside.create("Patient", patient(), id=id_))
        for year in (1950, 1960, 1970):
            changed = patient(family=f"Name{year}", birthDate=f"{year}-01-01")
            bind().transact(lambda inside, id_=id_, changed=changed: inside.update("Patient", id_, changed))
    return bind


def spoil(store: Store, statement: str) -> None:
    store.database.write(lambda connection: connection.execute(text(statement)))


def left(store: Store) -> dict[str, set[int]]:
    """The versions that the index of the past has something of, by id; of SQLite also where only tokens are left."""
    connection = store.database.connection()
    names = {row.key: row.id for row in connection.execute(text("SELECT key, id FROM resource"))}
    tables = [past_version, token_past] if store.database.dialect == "sqlite" else [past_version]
    found: dict[str, set[int]] = {}
    for table in tables:
        for key, vid in connection.execute(select(table.c.key, table.c.vid)):
            found.setdefault(names[key], set()).add(vid)
    return found


@pytest.mark.parametrize(("vid", "stay"), [(2, {1, 3}), (None, set())])
@pytest.mark.parametrize("is_spoilt", [False, True])
def test_what_is_erased_leaves_the_index_whether_or_not_it_opens(
    versions: Bind, store: Store, vid: int | None, stay: set[int], is_spoilt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "BATCH", 2)
    assert left(store) == {"a": {1, 2, 3}, "b": {1, 2, 3}}
    if is_spoilt:
        swapped = "(SELECT sealed FROM resource_history AS other WHERE other.id = 'b' AND other.vid = 2)"
        spoil(store, f"UPDATE resource_history SET sealed = {swapped} WHERE id = 'a' AND vid = 2")
    erased = versions().transact(lambda inside: inside.erase_history("Patient", "a", vid))
    assert erased == 3 - len(stay)
    assert left(store) == {"b": {1, 2, 3}} | ({"a": stay} if stay else {})
    assert check(store).problems == []


@ON_SQLITE
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM token_past WHERE hash = (SELECT min(hash) FROM token_past WHERE vid = 2 AND key = 1)",
         "The token index of Patient/a version 2 does not match its content."),
        ("INSERT INTO token_past VALUES (7, 1, 2)",
         "The token index of the past holds 1 rows that no content asks for."),
        ("DELETE FROM token WHERE hash = (SELECT max(hash) FROM token WHERE key = 2)",
         "The token index of Patient/b does not match its content."),
        ("INSERT INTO token VALUES (7, 2)", "The token index holds 1 rows that no content asks for."),
    ],
)  # fmt: skip
def test_the_check_finds_a_token_that_lacks_or_is_too_much(
    versions: Bind, store: Store, statement: str, said: str
) -> None:
    spoil(store, statement)
    assert said in check(store).problems


@contextmanager
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        seen.append((sql, values))

    event.listen(store.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.database.engine, "before_cursor_execute", note)


def plan(connection: Connection, sql: str, values: Any) -> list[str]:
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]


@ON_SQLITE
def test_batches_begin_at_their_keys(versions: Bind, store: Store) -> None:
    with statements(store) as seen:
        assert check(store).problems == []
    by_key = [one for one in dict(seen).items() if "+resource.tenant" in one[0]]
    assert len(by_key) == 4  # resources; keys, versions and current times for the past
    for sql, values in by_key:
        steps = plan(store.database.connection(), sql, values)
        assert steps[0].startswith("SEARCH resource USING INTEGER PRIMARY KEY"), (sql, steps)
        assert len(steps) == 1 or "resource_history_1 (tenant=? AND type=? AND id=?" in steps[1], (sql, steps)
