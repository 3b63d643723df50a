"""What a token learns of contained resources: docs/adr/0020-contained-resources.md"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hie.fhir.instants import instant
from tests.conformance.conftest import Fhir
from tests.conformance.contained_world import filled, follow, urls
from tests.conftest import Clock

__all__ = ["filled"]

ACCESS = [
    # the container must be within the grant, and so must the contained resource
    (["system/Observation.rs"], "Observation/both#z"),
    (["system/Observation.rs", "system/DiagnosticReport.rs?status=final"],
     "DiagnosticReport/r1#x DiagnosticReport/r1#y DiagnosticReport/r2#x Observation/both#z"),
    (["system/Observation.rs?code=8480-6", "system/DiagnosticReport.rs"], "DiagnosticReport/r1#y"),
    (["system/Observation.rs?code:not=8867-4", "system/DiagnosticReport.rs?status=final"], "DiagnosticReport/r1#y"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs"], "DiagnosticReport/r3#x"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs?status=final"], ""),
    (["system/Observation.s", "system/DiagnosticReport.r"], "Observation/both#z"),
]  # fmt: skip


@pytest.mark.parametrize(("scopes", "expected"), ACCESS, ids=lambda value: " ".join(value) if value else "nothing")
def test_a_token_learns_of_contained_resources_only_what_both_its_scopes_cover(
    filled: Fhir, client: Callable[..., Fhir], scopes: list[str], expected: str
) -> None:
    token, parts = client(*scopes), expected.split()
    containers = list(dict.fromkeys(one.partition("#")[0] for one in parts))
    for more in ("", "&code:text=heart", "&value-quantity=ge0", "&_sort=-value-quantity", "&_sort=code", "&_count=1"):
        answer = token.get(f"Observation?_contained=true&_containedType=contained&_total=accurate{more}")
        assert answer.json["total"] == len(parts), more
        assert set(urls(answer)) <= set(parts), more
        assert len(urls(answer)) == (min(len(parts), 1) if "_count" in more else len(parts)), more
        if "_sort" not in more:
            answer = token.get(f"Observation?_contained=true&_total=accurate{more}")
            assert answer.json["total"] == len(containers), more
            assert set(urls(answer)) <= set(containers), more
    for value in (60, 90, 95, 96, 55):  # nor by halving the values of what it may not see
        here = [row["fullUrl"] for row in filled.get(
            f"Observation?_contained=true&_containedType=contained&value-quantity={value}").entries()]  # fmt: skip
        seen = {one.removeprefix("http://localhost/fhir/") for one in here} & set(parts)
        assert token.total(f"Observation?_contained=true&_containedType=contained&value-quantity={value}") == len(seen)


def test_a_token_without_a_scope_for_the_contained_type_is_refused(
    filled: Fhir, client: Callable[..., Fhir]
) -> None:
    token = client("system/DiagnosticReport.rs", "system/MedicationRequest.rs")
    token.get("Observation?_contained=true").refused(403, "forbidden")
    token.get("Observation?_contained=both&_containedType=contained").refused(403, "forbidden")
    token.get("MedicationRequest?medication:Medication.code=2").refused(403, "forbidden")
    token.get("?_type=Observation,MedicationRequest&_contained=true").refused(403, "forbidden")
    assert urls(token.get("?_contained=true&_containedType=contained")) == []  # of its own types, in containers of them


OVER_TYPES = [
    # scopes, types, the contained resources of these, those that stand by themselves
    (["system/Observation.rs"], "?", "Observation/both#z", "Observation/alone Observation/both"),
    (["system/Medication.rs", "system/MedicationDispense.rs", "system/MedicationRequest.rs?status=active"], "?",
     "MedicationRequest/q1#m MedicationRequest/q2#m MedicationRequest/q3#m MedicationRequest/q3#n "
     "MedicationDispense/d1#q",
     "Medication/m MedicationRequest/q1 MedicationRequest/q2 MedicationRequest/q3 MedicationRequest/q4 "
     "MedicationDispense/d1"),
    (["system/MedicationRequest.rs", "system/Medication.rs?code=2", "system/Observation.rs?code=8480-6",
      "system/DiagnosticReport.rs?status=preliminary"], "?_type=Medication,Observation&",
     "MedicationRequest/q1#m MedicationRequest/q3#n", ""),
    (["system/MedicationRequest.rs", "system/Medication.rs?code=2", "system/Observation.rs?code=8867-4",
      "system/DiagnosticReport.rs?status=preliminary"], "?_type=Medication,Observation&",
     "DiagnosticReport/r3#x DiagnosticReport/r3#y Observation/both#z MedicationRequest/q1#m MedicationRequest/q3#n",
     "Observation/alone Observation/both"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs", "system/MedicationDispense.rs",
      "system/MedicationRequest.rs?patient=Patient/q"], "Patient/p/*?", "DiagnosticReport/r3#x",
     "Observation/alone DiagnosticReport/r2"),
]  # fmt: skip


@pytest.mark.parametrize(("scopes", "asked", "parts", "alone"), OVER_TYPES, ids=range(len(OVER_TYPES)))
def test_a_search_over_types_tells_a_token_only_of_what_its_scopes_cover(
    filled: Fhir, client: Callable[..., Fhir], clock: Clock, scopes: list[str], asked: str, parts: str, alone: str
) -> None:
    token, inside, own = client(*scopes), parts.split(), alone.split()
    holding = list(dict.fromkeys(one.partition("#")[0] for one in inside))
    expected = {
        "_contained=true": holding,
        "_contained=true&_containedType=contained": inside,
        "_contained=both": [*own, *(one for one in holding if one not in own)],
        "_contained=both&_containedType=contained": [*own, *inside],
    }
    then = instant(clock())
    clock.forward(10)
    for more in ("", "&_sort=_id", "&_sort=-_lastUpdated", f"&_asOf={then}", "&_lastUpdated=gt2000", "&_id:not=zz"):
        for how, all_ in expected.items():
            answer = token.get(f"{asked}{how}&_total=accurate{more}")
            found = urls(answer)
            assert sorted(found) == sorted(all_) if "_sort" in more else found == all_, (how, more)
            assert answer.json["total"] == len(all_), (how, more)
            if more in ("", "&_sort=_id"):
                assert follow(token, token.get(f"{asked}{how}{more}&_count=2")) == found, (how, more)
    # its containers are deleted, so what they contained is no longer covered by what they are now
    for place in holding:
        assert filled.delete(place).status == 200
    assert token.total(f"{asked}_contained=true") == 0
    before = urls(token.get(f"{asked}_contained=true&_containedType=contained&_asOf={then}"))
    assert before == ([] if any("?" in one for one in scopes) else inside)


def test_a_chain_into_a_contained_resource_is_held_to_the_scopes_of_its_type(
    filled: Fhir, client: Callable[..., Fhir]
) -> None:
    token = client("system/MedicationRequest.rs", "system/Medication.rs?code=2")
    assert urls(token.get("MedicationRequest?medication.code=1,2,3,9")) == ["MedicationRequest/q1"]
    assert urls(token.get("MedicationRequest?medication.code:text=remedy")) == ["MedicationRequest/q1"]
    assert urls(token.get("MedicationRequest?medication.code:not=2")) == []
