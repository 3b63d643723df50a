"""The resource store under one request's grant: nothing is read, told or written beyond it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.errors import Forbidden, NotFound
from hie.store.resources import ResourceStore
from tests.unit.store.written import Bind, create, delete, observation, patient, put


def test_history_of_type_and_system_keeps_to_the_grant(bind: Bind) -> None:
    subject = create(bind(), patient())
    create(bind(), observation(f"Patient/{subject.id}"))
    put(bind(), subject.id, patient(active=True))
    assert [(v.type, v.vid) for v in bind().history(count=10).versions] == [
        ("Patient", 2), ("Observation", 1), ("Patient", 1),
    ]  # fmt: skip
    assert [v.type for v in bind("system/Observation.rs").history(count=10).versions] == ["Observation"]
    with pytest.raises(Forbidden):
        bind("system/Observation.rs").history("Patient", count=10)
    with pytest.raises(Forbidden):
        bind("system/Patient.cud").history(count=10)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("system/Patient.r", {"read"}),
        ("system/Patient.c", {"create"}),
        ("system/Patient.u", {"update"}),
        ("system/Patient.d", {"delete"}),
        ("system/Observation.cruds", set()),
        ("system/*.cruds", {"read", "create", "update", "delete"}),
    ],
)
def test_each_interaction_needs_its_letter(bind: Bind, scope: str, allowed: set[str]) -> None:
    put(bind(), "a", patient())
    actions: dict[str, Callable[[], Any]] = {
        "read": lambda: bind(scope).read("Patient", "a"),
        "create": lambda: create(bind(scope), patient()),
        "update": lambda: put(bind(scope), "a", patient(active=True)),
        "delete": lambda: delete(bind(scope), "Patient", "a"),
    }
    for name, action in actions.items():
        if name in allowed:
            action()
        else:
            with pytest.raises(Forbidden):
                action()


def test_a_granular_scope_hides_what_it_does_not_cover(bind: Bind) -> None:
    subject = create(bind(), patient())
    lab = {"category": [{"coding": [{"system": "http://x", "code": "laboratory"}]}]}
    inside = create(bind(), observation(f"Patient/{subject.id}", **lab))
    outside = create(bind(), observation(f"Patient/{subject.id}"))
    scope = "system/Observation.cruds?category=laboratory"
    assert bind(scope).read("Observation", inside.id).vid == 1
    with pytest.raises(NotFound):
        bind(scope).read("Observation", outside.id)
    with pytest.raises(NotFound):
        bind(scope).history("Observation", outside.id)
    assert [v.id for v in bind(scope).history("Observation").versions] == [inside.id]
    assert bind(scope).read_many([("Observation", inside.id), ("Observation", outside.id)]).keys() == {
        ("Observation", inside.id)
    }
    with pytest.raises(Forbidden):
        create(bind(scope), observation(f"Patient/{subject.id}"))
    with pytest.raises(Forbidden):
        put(bind(scope), inside.id, observation(f"Patient/{subject.id}"))
    with pytest.raises(Forbidden):
        delete(bind(scope), "Observation", outside.id)


@pytest.mark.parametrize("number", [1, 3, 20, 21, 100, 101])
def test_any_number_of_resources_is_read_together_under_the_grant(bind: Bind, number: int) -> None:
    def unit(inside: ResourceStore) -> None:
        for one in range(number):
            inside.create("Patient", patient(), id=f"p{one}")
            made = observation("Patient/p0") | {"status": "final" if one % 3 else "amended"}
            inside.create("Observation", made, id=f"o{one}")

    bind().transact(unit)
    ids = [*range(number), "none"]
    targets = [("Observation", f"o{one}") for one in ids] + [("Patient", f"p{one}") for one in ids]
    scopes = {"system/*.cruds": 1, "system/Observation.rs?status=final": 2, "system/Observation.rs?status=amended": 3}
    for scope, what in scopes.items():
        for _ in range(4):  # PostgreSQL's own library reads from the third time on
            found = bind(scope).read_many(targets)
            assert all((one.type, one.id) == place and one.content for place, one in found.items())
            final = [f"o{one}" for one in range(number) if one % 3]
            amended = [f"o{one}" for one in range(0, number, 3)]
            wanted = {1: {*final, *amended, *(f"p{one}" for one in range(number))}, 2: {*final}, 3: {*amended}}
            assert {one.id for one in found.values()} == wanted[what]
    assert bind().read_many([]) == {}
