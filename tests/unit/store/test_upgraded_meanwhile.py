"""A process under which another version of the server upgrades the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from hie.app import create_app
from hie.errors import Busy
from hie.jobs.worker import Worker
from hie.settings import Settings
from hie.store.schema import HEAD
from tests.machine_steps import bound
from tests.older_stores import fill, found_by_chain


def test_a_process_under_which_the_database_was_upgraded_answers_no_more(settings: Settings) -> None:
    """What it writes would be found by its own index alone, and nothing would tell."""
    app = create_app(settings)
    application = app.extensions["hie"]
    store = application.store
    fill(store)
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.tenants[1].parameters.expire()
    for ask in (partial(bound, store), partial(Worker(application, "test").step)):
        with pytest.raises(Busy, match="upgraded by another version"):
            ask()
    assert app.test_client().get("/health").status_code == 503
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": HEAD})
    assert found_by_chain(store) == ["o1", "o2"]
    application.close()


class Turns:
    """Lets a worker go round once, and a few times when something has happened; keeps how long it would have waited."""

    def __init__(self, number: int, happens: Callable[[], object]) -> None:
        self.left, self.waited, self.happens = number, list[float](), happens

    def is_set(self) -> bool:
        return self.left < 0

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.left -= 1
        self.happens()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_that_the_database_was_upgraded_is_told_once_a_minute(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker wrote a traceback every five seconds, and each refused request a line."""
    app = create_app(settings)
    application = app.extensions["hie"]
    parameters = application.store.tenants[1].parameters

    def upgrade() -> None:
        with application.store.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        parameters.expire()

    turns = Turns(4, upgrade)
    Worker(application, "test").run(turns)
    assert turns.waited[1:] == [5.0] * 4
    for _ in range(3):
        assert app.test_client().get("/health").status_code == 503
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.exc_info is None
    assert record.reason == f"schema 9999 was found, this process knows {HEAD}"
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert app.test_client().get("/health").status_code == 503
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 2
    application.close()
