"""Writes that may go by one message, and whether each did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from hie.store.postgres_writer import PostgresWriter
from hie.store.resources import ResourceStore
from hie.store.search import query
from hie.store.store import Store
from hie.store.versions import StoredVersion
from tests.builders import patient

Bind = Callable[..., ResourceStore]


def create(bound: ResourceStore, content: dict[str, Any], id: str | None = None) -> str:
    return bound.transact(lambda inside: inside.create(content["resourceType"], content, id=id)).id


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, store: Store, bind: Bind) -> list[bool]:
    """Whether each message was enough."""
    create(bind(), patient(), "p1")
    told: list[bool] = []
    original = PostgresWriter.commit_one

    def commit_one(self: PostgresWriter, *given: Any) -> bool:
        told.append(original(self, *given))
        return told[-1]

    monkeypatch.setattr(PostgresWriter, "commit_one", commit_one)
    return told


def put(bound: ResourceStore, id: str, content: dict[str, Any], **values: Any) -> StoredVersion:
    return bound.transact(lambda inside: inside.update(content["resourceType"], id, content, **values))


def found(bound: ResourceStore, *asked: tuple[str, str]) -> list[str]:
    return [one.id for one in bound.search(query.parse("Observation", list(asked))).matches]


def rows_of(store: Store, table: Table) -> int:
    return store.database.connection().execute(select(func.count()).select_from(table)).scalar_one()
