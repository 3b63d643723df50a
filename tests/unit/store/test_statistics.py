"""PostgreSQL plans with statistics that keep up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from hie.store.resources import ResourceStore
from hie.store.statistics import FIRST
from hie.store.store import Store


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_statistics_follow_a_store_that_fills(bind: Callable[..., ResourceStore], store: Store) -> None:
    def some(inside: ResourceStore) -> None:
        for _ in range(FIRST):
            inside.create("Patient", {"resourceType": "Patient", "active": True})

    estimate = text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'resource'::regclass")
    connection = store.database.connection()
    assert connection.execute(estimate).scalar_one() <= 0
    bind().transact(some)
    until = time.monotonic() + 20
    while connection.execute(estimate).scalar_one() != FIRST and time.monotonic() < until:
        time.sleep(0.01)
    assert connection.execute(estimate).scalar_one() == FIRST
