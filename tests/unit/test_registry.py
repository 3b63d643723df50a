"""The registry finds what it holds, and refuses what cannot work together."""

import threading

import pytest

from hie.errors import Busy
from hie.registry import JobKind, Model, Models, Operation, Registry, RegistryError, built_in
from hie.settings import Settings


def operation(code="x", types=None, levels=("type",)):
    return Operation(code, frozenset(levels), lambda request, ctx: None, f"http://example.org/{code}",
                     None if types is None else frozenset(types))


def test_an_operation_that_names_the_type_goes_before_one_for_every_type():
    every, own = operation(), operation(types=["Patient"])
    registry = Registry((every, own))
    assert registry.operation("x", "Patient") is own
    assert registry.operation("x", "Observation") is every
    assert registry.operation("y", "Patient") is None


def test_an_operation_is_offered_on_its_levels_and_types_only():
    found = operation(types=["Patient"], levels=["instance"])
    assert found.offered("Patient", True)
    assert not found.offered("Patient", False)
    assert not found.offered("Observation", True)
    assert not found.offered("Patient", True, True), "versions are a level of their own"
    assert not found.offered(None, False)


@pytest.mark.parametrize("make", [
    lambda: Registry((operation(), operation())),
    lambda: Registry((operation(types=["Patient"]), operation(types=["Patient", "Group"]))),
    lambda: Registry(jobs=(JobKind("j", print), JobKind("j", print))),
    lambda: Registry(models=(Model("m", str), Model("m", str))),
    lambda: operation(levels=["galaxy"]),
    lambda: operation(levels=[]),
], ids=["operations", "operations of a type", "jobs", "models", "unknown level", "no level"])  # fmt: skip
def test_what_cannot_work_together_stops_the_start(make):
    with pytest.raises(RegistryError):
        make()


def test_the_built_in_registry_holds_together():
    assert {one.code for one in built_in().operations} >= {"everything", "validate"}


def test_a_model_is_loaded_once_however_many_ask_at_once(tmp_path):
    loaded, gate = [], threading.Event()

    def load(settings):
        gate.wait(5)
        loaded.append(settings.data_dir)
        return object()

    models = Models([Model("m", load)], Settings(data_dir=tmp_path))
    found = []
    threads = [threading.Thread(target=lambda: found.append(models["m"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert loaded == [tmp_path]
    assert len(set(map(id, found))) == 1
    with pytest.raises(KeyError):
        models["unknown"]


def test_the_active_version_of_a_model_is_the_one_that_answers(tmp_path):
    active = {"m": None}
    model = Model("m", lambda settings: "shipped", lambda settings: {"1": lambda: "one", "2": lambda: "two"})
    models = Models([model], Settings(data_dir=tmp_path), active.get)
    assert models["m"] == "shipped"
    active["m"] = "2"
    assert models["m"] == "two"
    active["m"] = "9"
    with pytest.raises(Busy):
        models["m"]
