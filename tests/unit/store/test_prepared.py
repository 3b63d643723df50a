"""Statements on the driver's own cursor, and on PostgreSQL on libpq: the same answers and errors either way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import DatabaseError, DataError, OperationalError
from psycopg.errors import DivisionByZero
from psycopg.pq import ExecStatus
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Double,
    Integer,
    LargeBinary,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)

from hie.errors import TooCostly
from hie.settings import Settings
from hie.store import direct, prepared
from hie.store.away import is_unreachable
from hie.store.connections import is_lost
from hie.store.models import resource
from hie.store.prepared import KeptText, Prepared, dialect_of
from hie.store.store import Store

ON_POSTGRES = pytest.mark.parametrize("database_kind", ["postgresql"])


def echo(type_: Any) -> Prepared:
    return Prepared(select(cast(bindparam("value", type_=type_), type_).label("value")), ["value"])


def test_what_is_kept_by_dialect_is_kept_once_for_all_stores(store: Store, settings: Settings) -> None:
    again = Store.open(settings)
    assert again.database.connection().dialect is not store.database.connection().dialect
    assert dialect_of(again.database.connection()) is dialect_of(store.database.connection())
    again.close()


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("written", ["NOT " * 1001 + "1", "1 AND (" * 60 + "1" + ")" * 60], ids=["deep", "nested"])
def test_a_statement_that_sqlite_does_not_take_is_refused(store: Store, written: str) -> None:
    connection, statement = store.database.connection(), select(literal_column(written).label("one"))
    for one in (Prepared(statement, ["one"]), KeptText(statement, ["one"], dialect_of(connection))):
        with pytest.raises(TooCostly, match="fewer criteria"):
            one.all(connection, {})


@ON_POSTGRES
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Integer(), 0), (Integer(), -(2**31)), (BigInteger(), 2**63 - 1), (BigInteger(), -(2**63)),
        (BigInteger(), None), (Double(), -0.1), (Double(), 1e300), (Text(), ""),
        (Text(), "it's \"é€😀\" \\ %s $1 {a,b}"), (LargeBinary(), b"\0\xff'"),
        (ARRAY(BigInteger()), [1, -(2**63)]), (ARRAY(Text()), ['a,"b"', "{é}", "", "\\"]), (ARRAY(Text()), []),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_is_the_same_by_cursor_and_by_libpq(store: Store, type_: Any, value: Any) -> None:
    statement, connection = echo(type_), store.database.connection()
    answers = [statement.all(connection, {"value": value}) for _ in range(prepared.SELDOM + 2)]
    assert answers == [[(value,)]] * len(answers)
    assert statement.first(connection, {"value": value}).value == value


@ON_POSTGRES
def test_an_error_is_that_of_psycopg_and_the_connection_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "SELDOM", 0)
    connection = store.database.connection()
    divided = Prepared(select((literal_column("1") / bindparam("by", type_=Integer())).label("n")), ["n"])
    with pytest.raises(DivisionByZero):
        divided.first(connection, {"by": 0})
    with pytest.raises(DataError):
        echo(Text()).first(connection, {"value": "a\0b"})
    assert divided.first(connection, {"by": 1}).n == 1


@ON_POSTGRES
def test_a_connection_keeps_a_bounded_number_of_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "SELDOM", 0)
    monkeypatch.setattr(direct, "KEPT", 3)
    connection, statements = store.database.connection(), [echo(Integer()) for _ in range(5)]
    for number in [*range(5), *range(5)]:
        assert statements[number].first(connection, {"value": number}).value == number
    kept = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements WHERE name LIKE 'hie%%'").fetchall()
    assert len(kept) == 3


@ON_POSTGRES
def test_what_was_deallocated_is_prepared_anew_and_within_a_transaction_nothing_depends_on_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "SELDOM", 0)
    connection, statements = store.database.connection(), [echo(Integer()) for _ in range(2)]
    for number, statement in enumerate(statements):
        assert statement.first(connection, {"value": number}).value == number
    connection.exec_driver_sql("DEALLOCATE ALL")
    assert statements[0].first(connection, {"value": 5}).value == 5
    connection.exec_driver_sql("DEALLOCATE ALL")
    connection.exec_driver_sql("BEGIN")
    for number, statement in enumerate(statements):
        assert statement.first(connection, {"value": number}).value == number
    connection.exec_driver_sql("ROLLBACK")
    assert statements[1].first(connection, {"value": 6}).value == 6


@ON_POSTGRES
@pytest.mark.parametrize("kept", [direct.KEPT, 3, 1])
def test_what_is_prepared_after_all_was_deallocated_stays_known(
    store: Store, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """psycopg deallocates all after a rollback; what comes by another statement first is prepared, and is not again."""
    monkeypatch.setattr(prepared, "SELDOM", 0)
    monkeypatch.setattr(direct, "KEPT", kept)
    connection, statements = store.database.connection(), [echo(Integer()) for _ in range(5)]
    for number in (0, 1, 2):
        assert statements[number].first(connection, {"value": number}).value == number
    connection.exec_driver_sql("DEALLOCATE ALL")
    for number in (3, 0, 3, 4, 1, 4, 2, 3, 0):
        assert statements[number].first(connection, {"value": number}).value == number
    held = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements WHERE name LIKE 'hie%%'").fetchall()
    assert len(held) <= kept


@ON_POSTGRES
def test_a_lost_connection_is_told_and_the_next_prepares_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "SELDOM", 0)
    database, statement = store.database, echo(Integer())
    assert statement.first(database.connection(), {"value": 1}).value == 1
    connection = database.connection()
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with database.engine.connect() as other:
        other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    with pytest.raises(OperationalError) as caught:
        statement.first(connection, {"value": 1})
    assert is_unreachable(caught.value)
    assert is_lost(connection)
    assert statement.first(database.connection(), {"value": 2}).value == 2


def test_no_row_is_none_and_rows_are_named(store: Store) -> None:
    counted = Prepared(select(func.count().label("n")).select_from(resource), ["n"])
    none = Prepared(select(resource.c.id).where(resource.c.id == bindparam("id", type_=Text())), ["id"])
    for _ in range(prepared.SELDOM + 2):
        assert counted.all(store.database.connection(), {})[0].n == 0
        assert none.first(store.database.connection(), {"id": "a"}) is None


class Unsent:
    """libpq where the server is going away: it could not send, and has not met the end of what comes yet."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def exec_(self, text: bytes) -> Any:
        return self._connection.make_empty_result(ExecStatus.FATAL_ERROR)


@ON_POSTGRES
def test_what_could_not_be_sent_is_told_as_a_connection_that_was_lost(store: Store) -> None:
    connection = store.database.connections.open()
    driver = prepared.driver_of(connection)
    with pytest.raises(OperationalError) as told:
        direct.execute(SimpleNamespace(pgconn=Unsent(driver.pgconn)), "SELECT 1")
    assert is_unreachable(told.value)
    assert is_lost(connection)
    assert is_unreachable(DatabaseError("could not send data to server"))  # as a cursor of psycopg tells it
    assert not is_unreachable(DivisionByZero())
