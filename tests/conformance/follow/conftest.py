"""`hie follow` against a server that is played, and against another exchange: how it is run and what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from hie.app import create_app
from hie.commands import connection
from hie.commands.follow import Follower, Poll, Wanted
from hie.store import administration
from tests.conformance.conftest import Fhir
from tests.sources import Source, serving

#: HAPI's pages go to their end only where a time is named.
ALL = "_since=1970-01-01T00%3A00%3A00.000Z"
#: What is the same whatever database is behind the server that follows.
one_database = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(connection, "MAX_TRIES", 4)


@pytest.fixture
def url(app: Any) -> Iterator[str]:
    """The server that follows."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/fhir"


@pytest.fixture
def fake() -> Iterator[Source]:
    made = Source()
    with serving(made):
        yield made


@pytest.fixture
def there(templates: Callable[..., Any], tmp_path: Path, clock: Any) -> Iterator[tuple[Fhir, str]]:
    """Another exchange, and its address."""
    template = templates("sqlite", lambda: None)
    shutil.copytree(template.settings.data_dir, tmp_path / "there")
    app = create_app(replace(template.settings, data_dir=tmp_path / "there"), clock=clock)

    def unit(made: Any) -> str:
        client_id = administration.add_client(made, 1, "followed", clock())
        return administration.add_token(made, 1, client_id, "system/*.cruds", clock(), clock() + 3_600_000_000)[1]

    server = make_server("127.0.0.1", 0, app, threaded=True)
    with serving(server):
        yield Fhir(app, app.extensions["hie"].store.database.write(unit)), f"http://127.0.0.1:{server.server_port}/fhir"
    app.extensions["hie"].close()


class Run:
    """Follows as the command does, with what it says."""

    def __init__(self, url: str, token: str, state: Path) -> None:
        self._url, self._token, self.state = url, token, state
        self.said: list[str] = []

    def __call__(self, base: str, *, headers: Any = None, token: str | None = None, **wanted: Any) -> Poll:
        self.said.clear()
        with Follower(base, self._url, token or self._token, self.state, Wanted(**wanted), headers=headers,
                      say=self.said.append) as follower:
            return follower.poll()


@pytest.fixture
def run(url: str, fhir: Fhir, tmp_path: Path) -> Run:
    assert fhir.token is not None
    return Run(url, fhir.token, tmp_path / "state")


def numbers(fhir: Fhir, place: str) -> list[str]:
    """Return what the versions of a resource are, the newest first."""
    return [row["resource"]["name"][0]["family"] if "resource" in row else "deleted"
            for row in fhir.get(f"{place}/_history").entries()]


def everything(fhir: Fhir) -> dict[str, list[Any]]:
    """Return what the history has of each resource, but for what tells its versions apart as versions."""
    found: dict[str, list[Any]] = {}
    next_ = "_history?_count=1000"
    while next_:
        answer = fhir.get(next_)
        for row in answer.entries():
            resource = row.get("resource")
            if resource is not None:
                resource = {**resource, "meta": {name: value for name, value in resource["meta"].items()
                                                 if name not in ("versionId", "lastUpdated")}}
            found.setdefault("/".join(row["fullUrl"].rsplit("/", 2)[1:]), []).append(resource)
        next_ = answer.link("next") or ""
    return found
