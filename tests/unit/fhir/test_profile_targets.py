"""Slices that are told apart by what references lead to beyond the resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hie.fhir.profiles import Library, Package, conformance, resolving
from hie.fhir.profiles.resolving import Elsewhere, Name, Target
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.working_time import WorkingTime
from tests.builders import observation, patient
from tests.packages import BASE, Json, element, profile, slicing

HERE = "http://example.org/fhir"
NAMED = profile("named", "Patient", element("Patient.name", min=1))


def sliced(kind: str, path: str, *below: Json, **of_slice: Any) -> Json:
    """A profile of Observations that must have a performer of the slice, and no other."""
    rules = slicing((kind, path), rules="closed")
    return profile("sliced", "Observation", element("Observation.performer", slicing=rules),
                   element("Observation.performer:one", sliceName="one", min=1, **of_slice), *below)  # fmt: skip


BY_PROFILE = sliced("profile", "resolve()", type=[{"code": "Reference", "targetProfile": [BASE + "named"]}])
EXISTING = sliced("exists", "resolve().name", type=[{"code": "Reference", "targetProfile": [BASE + "named"]}])
MALE = profile("male", "Patient", element("Patient.gender", fixedCode="male"))
BY_VALUE = sliced("value", "resolve().gender", type=[{"code": "Reference", "targetProfile": [BASE + "male"]}])


class Stored:
    """What there is, and what was read together."""

    def __init__(self, *resources: Json, size: int = 1) -> None:
        self._there = {(one["resourceType"], one["id"]): one for one in resources}
        self._size = size
        self.read_together: list[list[Name]] = []

    def __call__(self, names: Sequence[Name]) -> list[Target]:
        self.read_together.append(list(names))
        return [Target(one, self._there[one], "2", self._size) for one in names if one in self._there]


def told(resource: Json, stored: Stored, definition: Json, time: WorkingTime | None = None) -> list[tuple[str, str]]:
    library = Library([Package("example", "1.0.0", resources=(definition, NAMED, MALE), digest="x")])
    targets = Elsewhere(stored, HERE, time or WorkingTime(60))
    found = conformance(resource, [definition["url"]], library, asked_by(library), with_support=False, targets=targets)
    return [(one.severity, one.code) for one in found]


def by(*texts: str) -> Json:
    return observation(performer=[{"reference": one} for one in texts])


UNDECIDED = [("information", "informational")]
WRONG = [("error", "required"), ("error", "structure")]
ANNA, NAMELESS = patient(id="a", gender="male"), {"resourceType": "Patient", "id": "b", "gender": "female"}


@pytest.mark.parametrize("definition", [BY_PROFILE, EXISTING, BY_VALUE], ids=["profile", "exists", "value"])
@pytest.mark.parametrize(("text", "expected"), [
    ("Patient/a", []), (f"{HERE}/Patient/a", []), ("Patient/a/_history/2", []), ("Patient/b", WRONG),
    ("Patient/none", UNDECIDED), ("Patient/a/_history/1", UNDECIDED), ("http://other.org/fhir/Patient/a", UNDECIDED),
    ("urn:uuid:3d5ab5c4-4d04-4c4c-8d4e-3d5ab5c44d04", UNDECIDED), ("#a", UNDECIDED)])
def test_a_slice_is_decided_by_what_is_stored(definition: Json, text: str, expected: list[Any]) -> None:
    assert told(by(text), Stored(ANNA, NAMELESS), definition) == expected


def test_nothing_is_read_where_no_slice_asks_for_it() -> None:
    stored = Stored(ANNA)
    plain = profile("sliced", "Observation", element("Observation.performer", type=[
        {"code": "Reference", "targetProfile": [BASE + "named"]}]))  # fmt: skip
    assert told(by("Patient/a"), stored, plain) == []
    assert told(observation(performer=[{"reference": "#p"}], contained=[patient(id="p")]), stored, BY_PROFILE) == []
    assert stored.read_together == []


def test_references_of_one_element_are_read_together() -> None:
    many = [{**ANNA, "id": f"p{number}"} for number in range(250)]
    stored = Stored(*many)
    texts = [f"Patient/{one['id']}" for one in many]
    assert told({**by(*texts, *texts), "subject": {"reference": "Patient/other"}}, stored, BY_PROFILE) == []
    assert [len(one) for one in stored.read_together] == [100, 100, 50]
    assert not any(("Patient", "other") in one for one in stored.read_together)


@pytest.mark.parametrize(("bound", "most", "size"), [("MOST_READ", 100, 1), ("MOST_BYTES", 99, 1)])
def test_how_many_are_read_is_bounded_and_the_others_are_left_out(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int, size: int
) -> None:
    monkeypatch.setattr(resolving, bound, most)
    many = [{**ANNA, "id": f"p{number}"} for number in range(250)]
    stored, time = Stored(*many, size=size), WorkingTime(60)
    assert ("error", "structure") not in told(by(*(f"Patient/{one['id']}" for one in many)), stored, BY_PROFILE, time)
    assert len(stored.read_together) == 1
    (left_out,) = time.take_left_out()
    assert left_out.startswith("Not judged by the target Patient/p100, the target Patient/p101")
    assert "and others: " in left_out


def test_without_time_nothing_is_read() -> None:
    stored, time = Stored(ANNA), WorkingTime(0)
    assert told(by("Patient/a"), stored, BY_PROFILE, time) == UNDECIDED
    assert stored.read_together == []
    assert "the target Patient/a" in time.take_left_out()[0]


def test_what_a_reference_inside_of_a_bundle_means_is_not_looked_for() -> None:
    stored = Stored(ANNA)
    whole = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "http://other.org/fhir/Observation/1", "resource": {**by("Patient/a"), "id": "1", "meta": {
            "profile": [BY_PROFILE["url"]]}}}]}  # fmt: skip
    library = Library([Package("example", "1.0.0", resources=(BY_PROFILE, NAMED), digest="x")])
    found = conformance(whole, [], library, asked_by(library), targets=Elsewhere(stored, HERE, WorkingTime(60)))
    assert [(one.severity, one.code) for one in found] == UNDECIDED
    assert stored.read_together == []


def test_of_what_was_read_nothing_more_is_read() -> None:
    """Each of a hundred targets would ask for its own."""
    again = sliced("profile", "resolve()", type=[{"code": "Reference", "targetProfile": [BASE + "sliced"]}])
    stored = Stored({**by("Observation/c"), "id": "b"}, {**by("Observation/b"), "id": "c"})
    assert told(by("Observation/b"), stored, again) == []
    assert stored.read_together == [[("Observation", "b")]]
