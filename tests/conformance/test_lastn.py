"""Observation/$lastn: https://hl7.org/fhir/R4/observation-operation-lastn.html"""

import pytest

from hie.store.search import inclusion
from tests.builders import observation, parameters, patient, practitioner

L, S = "http://loinc.org", "http://snomed.info/sct"


@pytest.fixture
def person(fhir):
    return fhir.create(patient())["id"]


def put(fhir, person, codes, days, text=None, **more):
    """Store one Observation for each day; its value is the day's number."""
    code = {"coding": [{"system": s, "code": c} for s, c in codes]} if codes else {}
    if text:
        code["text"] = text
    for day in days:
        when = {} if day is None else {"effectiveDateTime": f"2024-01-{day:02}"}
        resource = observation(f"Patient/{person}", day or 0, **more)
        del resource["effectiveDateTime"]
        fhir.create({**resource, **when, "code": code})


def found(answer):
    """The answer's Observations: text or codes, and day."""
    assert answer.status == 200, answer.content
    rows = []
    for one in answer.resources():
        codes = "+".join(coding["code"] for coding in one["code"].get("coding", [])) or one["code"]["text"]
        rows.append((codes, one["valueQuantity"]["value"]))
    assert answer.json["total"] == sum(row["search"]["mode"] == "match" for row in answer.entries())
    return rows


@pytest.mark.proves("operation:Observation/$lastn")
def test_the_last_of_each_code_comes_the_most_recent_group_first(fhir, person):
    put(fhir, person, [(L, "a")], [5, 1, 9])
    put(fhir, person, [(L, "b")], [2, 8])
    put(fhir, person, [(S, "a")], [3])  # another system's
    put(fhir, fhir.create(patient())["id"], [(L, "a")], [20])
    url = f"Observation/$lastn?patient={person}"
    assert found(fhir.get(url)) == [("a", 9), ("b", 8), ("a", 3)]
    assert found(fhir.get(f"{url}&max=2")) == [("a", 9), ("a", 5), ("b", 8), ("b", 2), ("a", 3)]
    assert found(fhir.get(f"{url}&max=2&code={L}|a")) == [("a", 9), ("a", 5)]
    assert found(fhir.get(f"{url}&date=lt2024-01-05")) == [("a", 3), ("b", 2), ("a", 1)]
    assert found(fhir.get(f"{url}&code=none")) == []
    body = parameters(subject=("String", f"Patient/{person}"), max=("PositiveInt", 2), code=("String", f"{S}|a"))
    assert found(fhir.post("Observation/$lastn", body)) == [("a", 3)]
    assert fhir.get(url).link("self").endswith(f"/fhir/Observation/$lastn?patient={person}")


def test_it_is_counted_alone_and_tells_what_it_left_out(fhir, monkeypatch, person):
    """As a search does: _summary=count, Prefer: handling=lenient, and a bound that cuts what is included."""
    put(fhir, person, [(L, "a")], [1, 2])
    put(fhir, person, [(L, "b")], [3])
    url = f"Observation/$lastn?patient={person}&max=2"
    counted = fhir.get(f"{url}&_summary=count")
    assert (counted.json["total"], counted.entries()) == (3, [])
    answer = fhir.get(f"{url}&nonsense=3", Prefer="handling=lenient")
    told = [row["resource"]["issue"] for row in answer.entries() if row["search"]["mode"] == "outcome"]
    assert [(one["code"], one["expression"]) for one in told[0]] == [("not-supported", ["nonsense"])]
    assert answer.link("self") == f"http://localhost/fhir/{url}"
    assert answer.json["total"] == 3
    monkeypatch.setattr(inclusion, "MOST_INCLUDED", 0)
    cut = fhir.get(f"{url}&_include=Observation:patient").entries()
    assert [row["resource"]["issue"][0]["code"] for row in cut if row["search"]["mode"] == "outcome"] == ["incomplete"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("concepts", "most", "expected"), [
    pytest.param([("a", 1), ("b", 2), ("c", 3)], 1, 3, id="three codes are three groups"),
    pytest.param([("a", 1), ("b", 2), ("a c", 3)], 1, 2, id="a translation joins two"),
    pytest.param([("a", 1), ("b", 2), ("a b", 3)], 1, 1, id="a translation joins what was apart"),
    pytest.param([("a", 4), ("b", 3), ("c", 2), ("a b", 1), ("b c", 1)], 2, 2, id="equality is transitive"),
    pytest.param([("a", 3), ("b", 2), ("b", 1), ("a b", 1)], 1, 1, id="joined after both were full"),
    pytest.param([("'textM'", 1), ("'Text'", 1), ("'t e x t'", 1), ("'Text'", 2)], 1, 3, id="text by its letters"),
    pytest.param([("a", 3), ("a", 2), ("a", 2), ("a", 1)], 2, 3, id="a tie with the last comes too"),
    pytest.param([("a", None), ("a", None), ("b", 1), ("a", 1)], 1, 2, id="without a date it is the oldest"),
    pytest.param([("a", None), ("a", None)], 1, 1, id="two without a date do not tie"),
])  # fmt: skip
def test_groups_follow_the_specification(fhir, person, concepts, most, expected):
    for name, day in concepts:
        if name[0] == "'":
            put(fhir, person, [], [day], text=name.strip("'"))
        else:
            put(fhir, person, [(L, code) for code in name.split()], [day])
    rows = found(fhir.get(f"Observation/$lastn?patient={person}&max={most}"))
    assert len(rows) == expected
    assert rows[0][1] == max(day or 0 for _, day in concepts)


def test_only_what_the_token_may_search_is_looked_at(client, fhir, person):
    put(fhir, person, [(L, "a")], [1, 2])
    put(fhir, person, [(L, "b"), (L, "a")], [3], status="preliminary")
    url = f"Observation/$lastn?patient={person}"
    narrow = client("system/Observation.rs?status=final")
    assert found(narrow.get(url)) == [("a", 2)]
    assert found(client(f"system/Observation.s?code={L}|none").get(url)) == []
    client("system/Patient.rs").get(url).refused(403, "forbidden")


def test_includes_and_elements_work_as_in_a_search(client, fhir, person):
    doctor = fhir.create(practitioner())["id"]
    put(fhir, person, [(L, "a")], [1, 2], performer=[{"reference": f"Practitioner/{doctor}"}])
    url = f"Observation/$lastn?patient={person}&_include=Observation:performer"
    assert [row["search"]["mode"] for row in fhir.get(url).entries()] == ["match", "include"]
    assert len(client("system/Observation.rs").get(url).entries()) == 1
    (one,) = fhir.get(f"Observation/$lastn?patient={person}&_elements=status").resources()
    assert "valueQuantity" not in one


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_cannot_be_answered_is_refused(fhir, person):
    url = f"Observation/$lastn?patient={person}"
    fhir.get("Observation/$lastn?code=a").refused(400, "invalid", "subject")
    fhir.get("Observation/$lastn?patient:missing=true").refused(400, "invalid", "subject")
    for text in ("0", "-1", "x", "1&max=2", ""):
        fhir.get(f"{url}&max={text}").refused(400, "invalid", "max")
    fhir.get(f"{url}&_count=3").refused(400, "invalid", "_count")
    fhir.get(f"{url}&_sort=code").refused(400, "invalid", "_sort")
    fhir.get(f"{url}&nonsense=3").refused(400, "invalid", "nonsense")
    fhir.post("Observation/$lastn", observation()).refused(400, "invalid", "resourceType")
    fhir.get(f"Observation/{person}/$lastn").refused(404, "not-found", "http.url")
