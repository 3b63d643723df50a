"""What a process remembers of data keys."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

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


class Database:
    """Answers what is asked for data keys, and notes it."""

    def __init__(self) -> None:
        self.rows: dict[int, Any] = {}
        self.asked: list[dict[str, Any]] = []

    def execute(self, _statement: Any, parameters: dict[str, Any]) -> Any:
        self.asked.append(parameters)
        wanted = parameters.get("ids")
        found = [row for row in self.rows.values()
                 if (row.id in wanted if wanted else row.owner == parameters["owner"])]  # fmt: skip
        return found if wanted else SimpleNamespace(first=lambda: found[0] if found else None)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def data_keys(monkeypatch: pytest.MonkeyPatch) -> DataKeys:
    monkeypatch.setattr(keys, "CACHED_CIPHERS", 2)
    monkeypatch.setattr(keys, "CACHED_KEYS", 6)
    return DataKeys(FileKeys(bytes(32)), 1)


def adopted(data_keys: DataKeys, database: Database, number: int) -> list[NewKey]:
    made = [data_keys.new(f"patient-{one}", 0) for one in range(number)]
    for one in made:
        database.rows[one.id] = SimpleNamespace(**one.row)
        data_keys.adopt(one)
    return made


def opens(cipher: Any, made: NewKey) -> bool:
    return open_(cipher, seal(made.cipher, b"{}", b"place"), b"place") == b"{}"


def test_a_key_whose_cipher_was_forgotten_opens_without_the_database(data_keys: DataKeys, database: Database) -> None:
    made = adopted(data_keys, database, 6)
    found = data_keys.of_ids(database, [one.id for one in made])
    assert all(opens(found[one.id], one) for one in made)
    for one in made:
        id_, cipher = data_keys.of_owner(database, one.owner) or (0, None)
        assert id_ == one.id
        assert opens(cipher, one)
    assert not database.asked


def test_a_key_that_was_forgotten_is_read_again(data_keys: DataKeys, database: Database) -> None:
    made = adopted(data_keys, database, 8)
    found = data_keys.of_ids(database, [one.id for one in made])
    assert all(opens(found[one.id], one) for one in made)
    assert [set(one["ids"]) for one in database.asked] == [{made[0].id, made[1].id}]
    id_, cipher = data_keys.of_owner(database, "patient-2") or (0, None)
    assert database.asked[1:] == [{"tenant": 1, "owner": "patient-2"}]  # the first two took its place
    assert id_ == made[2].id
    assert opens(cipher, made[2])


def test_what_is_remembered_stays_within_its_bounds(data_keys: DataKeys, database: Database) -> None:
    made = adopted(data_keys, database, 20)
    data_keys.of_ids(database, [one.id for one in made])
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
