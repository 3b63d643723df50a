"""Rows in COPY's binary format: PostgreSQL reads back what was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hie.store.postgres_copy import copy_in
from hie.store.prepared import driver_of
from hie.store.store import Store

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])

INTEGERS = {size: st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) for size in (2, 4, 8)}
#: PostgreSQL's text holds no NUL; half of a surrogate pair is no character.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.tuples(INTEGERS[8], st.floats(allow_nan=False), INTEGERS[4], INTEGERS[2])
MIXED = st.tuples(
    INTEGERS[8], st.none() | INTEGERS[8], st.none() | TEXTS, st.none() | st.binary(),
    st.none() | st.lists(INTEGERS[8], max_size=40),
)  # fmt: skip


def written(store: Store, columns: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Copy rows into a table of their own, and return what it has."""
    connection = store.database.connection()
    connection.execute(text("DROP TABLE IF EXISTS copied"))
    connection.execute(text(f"CREATE TEMP TABLE copied ({', '.join(' '.join(one) for one in columns.items())})"))
    copy_in(connection, f"copied ({', '.join(columns)})", list(columns.values()), rows)
    return driver_of(connection).execute("SELECT * FROM copied ORDER BY key").fetchall()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(NUMBERS, max_size=60, unique_by=lambda row: row[0]))
def test_numbers(store: Store, rows: list[tuple[Any, ...]]) -> None:
    columns = {"key": "int8", "low": "float8", "unit": "int4", "method": "int2"}
    assert written(store, columns, rows) == sorted(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(MIXED, max_size=20, unique_by=lambda row: row[0]))
def test_texts_bytes_arrays_and_nulls(store: Store, rows: list[tuple[Any, ...]]) -> None:
    columns = {"key": "int8", "date_low": "int8", "id": "text", "sealed": "bytea", "tokens": "int8[]"}
    assert written(store, columns, rows) == sorted(rows, key=lambda row: row[0])


def test_more_than_one_block(store: Store) -> None:
    rows = [(key, b"x" * 10_000, [key] * 20) for key in range(100)]
    assert written(store, {"key": "int8", "sealed": "bytea", "tokens": "int8[]"}, rows) == rows
