"""What a process remembers of data keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from hie.errors import InvalidRequest
from hie.settings import Settings
from hie.store import keys, rows
from hie.store.check import check
from hie.store.conflicts import Again
from hie.store.crypto import open_, seal
from hie.store.keys import DataKeys, FileKeys, NewKey
from hie.store.resources import ResourceStore
from hie.store.store import Store
from tests.builders import observation, patient


@pytest.fixture
def data_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> DataKeys:
    monkeypatch.setattr(keys, "CACHED_CIPHERS", 2)
    monkeypatch.setattr(keys, "CACHED_KEYS", 6)
    return DataKeys(FileKeys(bytes(32)), 1)


@pytest.fixture
def asked(store: Store) -> Iterator[list[Any]]:
    """Note the values of each statement that asks for keys."""
    noted: list[Any] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT data_key"):
            noted.append(set(values.values() if isinstance(values, dict) else values))

    engine = store.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield noted
    event.remove(engine, "before_cursor_execute", note)


def adopted(data_keys: DataKeys, store: Store, number: int) -> list[NewKey]:
    made = [data_keys.new(f"patient-{one}", 0) for one in range(number)]
    store.database.write(lambda connection: rows.insert_keys(connection, made))
    for one in made:
        data_keys.adopt(one)
    return made


def opens(cipher: Any, made: NewKey) -> bool:
    return open_(cipher, seal(made.cipher, b"{}", b"place"), b"place") == b"{}"


def test_a_key_whose_cipher_was_forgotten_opens_without_the_database(
    data_keys: DataKeys, store: Store, asked: list[Any]
) -> None:
    made, connection = adopted(data_keys, store, 6), store.database.connection()
    found = data_keys.of_ids(connection, [one.id for one in made])
    assert all(opens(found[one.id], one) for one in made)
    for one in made:
        id_, cipher = data_keys.of_owner(connection, one.owner) or (0, None)
        assert id_ == one.id
        assert opens(cipher, one)
    assert not asked


def test_a_key_that_was_forgotten_is_read_again(data_keys: DataKeys, store: Store, asked: list[Any]) -> None:
    made, connection = adopted(data_keys, store, 8), store.database.connection()
    found = data_keys.of_ids(connection, [one.id for one in made])
    assert all(opens(found[one.id], one) for one in made)
    assert asked == [{1, made[0].id, made[1].id}]
    id_, cipher = data_keys.of_owner(connection, "patient-2") or (0, None)
    assert asked[1:] == [{1, "patient-2"}]  # the first two took its place
    assert id_ == made[2].id
    assert opens(cipher, made[2])


@pytest.mark.parametrize(("number", "statements"), [(1, 1), (5, 1), (100, 1), (101, 2), (230, 3)])
def test_any_number_of_keys_is_read_at_once(
    data_keys: DataKeys, store: Store, asked: list[Any], number: int, statements: int
) -> None:
    made, connection = adopted(data_keys, store, number), store.database.connection()
    unknown = data_keys.new("nobody", 0)
    anew = DataKeys(FileKeys(bytes(32)), 1)
    for _ in range(4):  # PostgreSQL's own library reads from the third time on
        found = anew.of_ids(connection, [one.id for one in made])
        assert len(found) == number
        assert all(opens(found[one.id], one) for one in made)
        anew = DataKeys(FileKeys(bytes(32)), 1)
    assert len(asked) == 4 * statements
    assert anew.of_ids(connection, [unknown.id]) == {}
    assert DataKeys(FileKeys(bytes(32)), 2).of_ids(connection, [made[0].id]) == {}  # another tenant's


def test_what_is_remembered_stays_within_its_bounds(data_keys: DataKeys, store: Store) -> None:
    made = adopted(data_keys, store, 20)
    data_keys.of_ids(store.database.connection(), [one.id for one in made])
    assert (len(data_keys._keys), len(data_keys._ids), len(data_keys._ciphers)) == (6, 6, 2)


def test_a_patient_whose_id_was_made_here_has_no_key_that_is_looked_for(
    bind: Callable[..., ResourceStore], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = DataKeys.of_owner

    def of_owner(self: DataKeys, connection: Any, owner: str, met: Any = None) -> Any:
        asked.append(owner)
        return original(self, connection, owner, met)

    monkeypatch.setattr(DataKeys, "of_owner", of_owner)
    made = bind().transact(lambda inside: inside.create("Patient", patient()))
    assert asked == []
    bind().transact(lambda inside: inside.update("Patient", "chosen", patient()))
    bind().transact(lambda inside: inside.create("Observation", observation(f"Patient/{made.id}")))
    assert asked == ["chosen", made.id]
    assert check(store).problems == []


def test_a_key_that_a_neighbour_made_first_makes_the_transaction_run_again(store: Store) -> None:
    tenant = store.tenants[1]
    first, second, other = (tenant.data_keys.new(owner, 0) for owner in ("p1", "p1", "p2"))
    store.database.write(lambda connection: rows.insert_keys(connection, [first]))

    def unit(connection: Connection) -> None:
        with pytest.raises(Again):
            rows.insert_keys(connection, [other, second])

    store.database.write(unit)


def test_a_key_is_its_transactions_alone_until_that_is_committed(
    bind: Callable[..., ResourceStore], store: Store, settings: Settings
) -> None:
    """What others sealed by it could not be opened, were it rolled back: on SQLite others may share the commit."""
    known = partial(store.tenants[1].data_keys.of_owner, store.database.connection(), "p1")

    def unit(inside: ResourceStore, *, fails: bool) -> None:
        inside.update("Patient", "p1", patient())
        inside.connection()  # what was buffered is written
        assert inside.read("Patient", "p1").content
        assert known() is None
        if fails:
            raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        bind().transact(lambda inside: unit(inside, fails=True))
    assert known() is None
    bind().transact(lambda inside: unit(inside, fails=False))
    assert known() is not None
    bind().transact(lambda inside: inside.create("Observation", observation("Patient/p1")))
    store.close()
    with closing(Store.open(settings)) as anew:
        assert check(anew).problems == []
