"""Models at the administration API: which version is active, and what it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from hie.app import Application, create_app
from hie.settings import Settings
from hie.store import administration
from ml.recommender import History, Item
from ml.recommender.train import train
from tests.conformance.administration import Admin, make_token


def _two_versions(application: Application) -> None:
    for version in ("1", "2"):
        application.store.database.write(
            lambda connection, version=version: administration.add_model(connection, "example", version, 7)
        )


def test_another_version_of_a_model_can_be_made_the_active_one(admin: Admin, application: Application) -> None:
    _two_versions(application)
    activated = admin.ok("POST", "/models/example/activate", json={"version": "2"})
    assert activated["active"] is True
    active = {row["version"]: row["active"] for row in admin.ok("GET", "/models")["models"] if row["name"] == "example"}
    assert active == {"1": False, "2": True}
    assert {"name": "example", "version": "2"} in admin.ok("GET", "/status")["models"]


def test_a_version_that_is_not_known_cannot_be_activated(admin: Admin, application: Application) -> None:
    _two_versions(application)
    assert admin.refused("POST", "/models/example/activate", json={"version": "3"}) == (404, "not-found", "")
    assert [row["version"] for row in _rows(admin, "example") if row["active"]] == ["1"]


def _rows(admin: Admin, name: str) -> list[dict[str, Any]]:
    return [row for row in admin.ok("GET", "/models")["models"] if row["name"] == name]


def own_version(settings: Settings) -> str:
    """Train a small recommender into the data directory and return its version."""
    items = [Item("condition", "urn:codes", str(number)) for number in range(6)]
    people = [History(str(n), "female", "1970", tuple(items[n % 3 : n % 3 + 3])) for n in range(12)]
    made = train(people, min_patients=2)
    made.save(settings.data_dir / "models" / "recommender" / "mine")
    return made.version


@pytest.fixture
def with_own(settings: Settings, clock: Any) -> Iterator[tuple[str, Application, Admin]]:
    """The version of a site's own model, and an application that has found it."""
    version = own_version(settings)
    app = create_app(settings, clock=clock)
    application = app.extensions["hie"]
    yield version, application, Admin(app.test_client(), application, make_token(application, "admin", "operator"))
    application.close()


def test_a_version_of_ones_own_is_known_and_judges_once_it_is_active(
    with_own: tuple[str, Application, Admin], clock: Any
) -> None:
    version, application, admin = with_own
    shipped = application.models["recommender"].version
    assert {row["version"]: row["active"] for row in _rows(admin, "recommender")} == {shipped: True, version: False}
    admin.ok("POST", "/models/recommender/activate", json={"version": version})
    clock.forward(3)
    assert application.models["recommender"].version == version
    assert admin.ok("GET", "/models/recommender/manifest")["version"] == version
    admin.ok("POST", "/models/recommender/activate", json={"version": shipped})
    clock.forward(3)
    assert application.models["recommender"].version == shipped


@pytest.mark.parametrize("damage", ["weights", "directory"])
def test_an_active_version_that_cannot_be_loaded_is_replaced_by_no_other(
    with_own: tuple[str, Application, Admin], settings: Settings, clock: Any, damage: str
) -> None:
    version, _, admin = with_own
    directory = settings.data_dir / "models" / "recommender" / "mine"
    if damage == "weights":
        (directory / "weights.npz").write_bytes(b"damaged")
    else:
        shutil.rmtree(directory)
    admin.ok("POST", "/models/recommender/activate", json={"version": version})
    clock.forward(3)
    assert admin.refused("GET", "/models/recommender/manifest")[:2] == (503, "transient")


def test_the_shipped_version_takes_the_place_of_an_active_one_that_is_gone(settings: Settings, clock: Any) -> None:
    first = create_app(settings, clock=clock).extensions["hie"]
    first.store.database.write(lambda c: administration.add_model(c, "recommender", "gone", 1))
    first.store.database.write(lambda c: administration.activate_model(c, "recommender", "gone", 2))
    first.close()
    second = create_app(settings, clock=clock).extensions["hie"]
    active = {row["name"]: row["version"] for row in _models(second) if row["active"]}
    assert active["recommender"] != "gone"
    assert second.models["recommender"].version == active["recommender"]
    second.close()


def _models(application: Application) -> list[dict[str, Any]]:
    return administration.models(application.store.database.connection())


def test_the_manifest_says_what_the_model_is(admin: Admin) -> None:
    manifest = admin.ok("GET", "/models/chest-xray/manifest")
    assert manifest["name"] == "chest-xray"
    assert "sha256" in manifest["data"]
    assert admin.refused("GET", "/models/nothing/manifest") == (404, "not-found", "")
