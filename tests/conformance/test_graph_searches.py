"""What the searches of a GraphDefinition's links may say: link.target.params"""

from dataclasses import replace
from typing import Any

import pytest

from hie.fhir.instants import instant
from hie.settings import Settings
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Let a page be of two resources."""
    return replace(settings, default_page_size=2, max_page_size=2)


def graph(fhir: Any, more: str) -> str:
    """Store a definition whose link searches for Observations, and return where it is."""
    link = {"target": [{"type": "Observation", "params": f"subject={{ref}}&{more}"}]}
    made = fhir.create({"resourceType": "GraphDefinition", "name": "x", "status": "active", "start": "Patient",
                        "link": [link]})  # fmt: skip
    return f"Patient/p/$graph?graph=GraphDefinition/{made['id']}"


def test_a_count_may_be_larger_than_a_page(fhir: Any) -> None:
    """The first so many for each resource: of more than a page no more than a page came, and nobody was told."""
    fhir.put("Patient/p", patient(id="p"))
    for number in range(5):
        fhir.put(f"Observation/{number}", observation("Patient/p", id=str(number)))
    for count, found in ((1, 1), (3, 3), (9, 5)):
        answer = fhir.get(graph(fhir, f"_sort=_id&_count={count}"))
        assert [one["id"] for one in answer.resources()[1:]] == [str(one) for one in range(found)]


@pytest.mark.parametrize("more", ["_asOf=2024-01-01T00:00:00Z", "_total=accurate", "_cursor=x", "_include=*"])
def test_what_is_no_criterion_is_refused(fhir: Any, clock: Any, more: str) -> None:
    fhir.put("Patient/p", patient(id="p"))
    asked = fhir.get(f"{graph(fhir, more)}&_asOf={instant(clock())}")
    asked.refused(422, "processing", "GraphDefinition.link[0].target[0].params")
