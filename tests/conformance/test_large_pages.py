"""Pages of large resources, as they go over HTTP: shorter than asked for, and nothing is lost between them."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

import pytest

from hie.operations import everything, group_everything
from hie.store.contents import MOST_BYTES
from tests.builders import observation, patient
from tests.conformance.conftest import Fhir
from tests.conformance.test_graph import URL, by_search, definition

SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])


def pages(fhir: Fhir, url: str | None) -> Iterator[list[str]]:
    """Yield the ids of each page."""
    while url is not None:
        answer = fhir.get(url)
        assert answer.status == 200, answer.content
        rows = answer.resources()
        assert len(rows) == 1 or len(answer.content) < MOST_BYTES * 1.1
        yield [one["id"] for one in rows]
        url = answer.link("next")


@pytest.fixture
def large(fhir: Fhir) -> list[str]:
    """Five values of a patient with 8 MB each: three of them are a page."""
    who = f"Patient/{fhir.create(patient())['id']}"
    made = []
    for number in range(5):
        noise = base64.b64encode(random.Random(number).randbytes(6_000_000)).decode()
        notes = [{"text": noise[start : start + 1_000_000]} for start in range(0, len(noise), 1_000_000)]
        made.append(fhir.create(observation(who, number, note=notes))["id"])
    return made


@SQLITE
def test_pages_end_where_their_resources_are_too_many_bytes(fhir: Fhir, large: list[str]) -> None:
    for url in ("Observation?_count=10", "Observation?_sort=-value-quantity&_count=10", "Observation?_sort=code,date",
                "Observation/_history?_count=10"):  # fmt: skip
        found = list(pages(fhir, url))
        assert [len(one) for one in found] == [3, 2], url
        assert sorted(one for ids in found for one in ids) == sorted(large), url


@SQLITE
def test_a_link_of_a_graph_that_says_how_many_has_so_many(fhir: Fhir, large: list[str]) -> None:
    fhir.create(definition(by_search("Observation", "subject={ref}&_count=4&_sort=-value-quantity"), start="Patient"))
    who = fhir.get(f"Observation/{large[0]}").json["subject"]["reference"]
    answer = fhir.get(f"{who}/$graph?graph={URL}")
    assert [one["id"] for one in answer.resources()][1:] == large[:0:-1]


def test_records_of_many_end_alike(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (everything, group_everything):
        monkeypatch.setattr(module, "MOST_BYTES", 3_000)
    people = [f"Patient/{fhir.create(patient(f'P{number}'))['id']}" for number in range(4)]
    made = [fhir.create(observation(one, note=[{"text": "x" * 1_200}]))["id"] for one in people for _ in range(3)]
    group = fhir.create({"resourceType": "Group", "type": "person", "actual": True,
                         "member": [{"entity": {"reference": one}} for one in people]})["id"]
    for url in ("Patient/$everything", f"Group/{group}/$everything"):
        found = [[one for one in ids if one in made] for ids in pages(fhir, url)]
        assert max(map(len, found)) <= 3, url
        assert len(found) > 3, url
        assert sorted(one for ids in found for one in ids) == sorted(made), url
