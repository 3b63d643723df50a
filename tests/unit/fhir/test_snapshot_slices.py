"""Where new slices and named types of choices go, and that each goes there at once however many there are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hie.fhir.snapshots import SnapshotError, generated
from hie.fhir.snapshots.slices import Slices
from hie.fhir.snapshots.tree import Node
from tests.growth import Work, growth

Json = dict[str, Any]
PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
ROOT = {"id": "Patient", "path": "Patient"}


def _one_by_one(base: list[str], new: list[str]) -> list[str]:
    """Put each behind the last of those that it is one of, by looking at all."""
    found = ["", *base]
    for name in new:
        above = name.rpartition("/")[0]
        same = [at for at, one in enumerate(found) if not above or f"{one}/".startswith(f"{above}/")]
        found.insert(max(same, default=len(found) - 1) + 1, name)
    return found


def test_slices_stand_where_looking_at_all_of_them_puts_each() -> None:
    chance = random.Random(3)
    names = ["/".join(chance.choices("abc", k=chance.randint(1, 4))) for _ in range(200)]
    for _ in range(400):
        some = list(dict.fromkeys(chance.choices(names, k=chance.randint(1, 25))))
        at = chance.randrange(len(some) + 1)
        made = Slices([Node("name"), *(Node("name", one) for one in some[:at])])
        for one in some[at:]:
            made.add(Node("name", one))
        assert [one.slice or "" for one in made] == _one_by_one(some[:at], some[at:])
        assert [one for one in some if made.named(one) is None] == []
        assert made.named("d") is None


def _profile(**more: Any) -> Json:
    return {"resourceType": "StructureDefinition", "url": "http://example.org/p", "type": "Patient", "kind": "resource",
            "derivation": "constraint", "baseDefinition": PATIENT, **more}


class Only:
    """One definition, as the base of another."""

    def __init__(self, found: Json) -> None:
        self._found = found

    def find(self, canonical: str) -> Json | None:
        return self._found if canonical == PATIENT else None


def _sliced(*names: str, **more: Any) -> list[Json]:
    return [{"id": f"Patient.name:{one}", "path": "Patient.name", "sliceName": one, **more} for one in names]


def test_thousands_of_slices_of_one_slice_are_put_in_place_at_once() -> None:
    """Looking at all for each took 15 s for 1,900 beside 17,000."""
    whole = {"id": "Patient.name", "path": "Patient.name", "slicing": {"rules": "open"}, "max": "*"}

    def put(number: int) -> Work:
        known, new = ([f"a/{kind}{one}" for one in range(number)] for kind in ("", "x"))
        base = Only(_profile(snapshot={"element": [ROOT, whole, *_sliced(*known, max="*")]}))

        def work() -> None:
            made = generated(_profile(differential={"element": _sliced(*new)}), base)
            assert made["snapshot"]["element"][-1]["sliceName"] == new[-1]

        return work

    assert growth(put, 200) < 5


def test_a_slice_of_slices_has_not_more_parts_than_a_path() -> None:
    base = Only(_profile(snapshot={"element": [ROOT]}))
    with pytest.raises(SnapshotError, match="has at most 40 parts") as raised:
        generated(_profile(differential={"element": _sliced("/".join("a" * 41))}), base)
    assert raised.value.issues[0].expression == "StructureDefinition.differential.element[0]"


def test_thousands_of_types_named_by_themselves_are_found_among_thousands_of_choices_at_once() -> None:
    """Asking each choice of each took 7 s for 1,900 among 18,000."""

    def found(number: int) -> Work:
        whole = [{"id": f"Patient.n{one}[x]", "path": f"Patient.n{one}[x]", "type": [{"code": "string"}]}
                 for one in range(number)]
        said = [{"path": f"Patient.n{one}String", "min": 0} for one in reversed(range(number))]
        base = Only(_profile(snapshot={"element": [ROOT, *whole]}))

        def work() -> None:
            made = generated(_profile(differential={"element": said}), base)["snapshot"]["element"]
            assert made[-1]["id"] == f"Patient.n{number - 1}[x]:n{number - 1}String"

        return work

    assert growth(found, 200) < 5
