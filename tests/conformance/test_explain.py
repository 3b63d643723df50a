"""$explain tells how a search will be answered; docs/api/operations.md"""

import re
from urllib.parse import quote

import pytest

from tests.builders import observation, patient


def told(answer, name):
    """The values of parameters, or of parts of them, of one name."""
    assert answer.status == 200, answer.content
    rows = answer.json["parameter"] + [part for row in answer.json["parameter"] for part in row.get("part", [])]
    return [next((v for k, v in row.items() if k.startswith("value")), None) for row in rows if row["name"] == name]


@pytest.fixture
def admin(client):
    return client("system/*.cruds admin")


@pytest.mark.proves("operation:*/$explain")
@pytest.mark.parametrize("search", [
    "code=http://loinc.org|8867-4&subject=Patient/1",
    "code=a,b&_sort=-date&_count=5",
    "date=ge2024-01-01&value-quantity=gt5",
    "code-value-quantity=8867-4$gt50",
    "_id=1,2&status:not=final",
    "category:missing=true&_total=accurate",
    "_lastUpdated=gt2024",
])  # fmt: skip
def test_statements_and_plans_are_told_without_values(admin, search):
    answer = admin.get(f"Observation/$explain?{search}")
    assert told(answer, "search") == [f"Observation?{search}"]
    results = ("_sort", "_count", "_total")
    assert len(told(answer, "parameter")) == sum(not part.startswith(results) for part in search.split("&"))
    assert all(told(answer, name) for name in ("sql", "plan", "words", "growth"))
    shown = " ".join(told(answer, "sql") + told(answer, "plan"))
    assert shown.startswith("SELECT resource.")
    assert "Patient" not in shown
    assert re.findall(r"\d{13,}", shown) == [], "neither hashes nor times are shown"
    whole = admin.get(f"$explain?search={quote(f'Observation?{search}')}")
    assert whole.json["parameter"] == answer.json["parameter"]


def test_rows_are_expected_by_what_leads(admin, database_kind):
    person = admin.create(patient())["id"]
    for number in range(20):
        admin.create(observation(f"Patient/{person}", number))
    (rows,) = told(admin.get(f"Observation/$explain?patient={person}&status=final"), "rows")
    assert rows == 20 if database_kind == "sqlite" else rows >= 0
    assert told(admin.get("$explain?search=%3F_lastUpdated%3Dgt2020"), "sql")
    over_types = admin.get("$explain?_lastUpdated=gt2020&_type=Patient,Observation")
    assert told(over_types, "search") == ["?_lastUpdated=gt2020&_type=Patient,Observation"]
    within = admin.get(f"$explain?search=Patient/{person}/Observation%3Fstatus%3Dfinal")
    assert told(within, "search") == [f"Patient/{person}/Observation?status=final"]
    assert len(told(within, "parameter")) == 2
    chained = admin.get("Observation/$explain?patient.name=smith")
    assert told(chained, "parameter") == ["chain"]
    assert "far end" in told(chained, "growth")[0]
    assert told(admin.get("Observation/$explain?code:in=http://hl7.org/fhir/ValueSet/observation-status"), "sql")


def test_what_grows_is_said(admin):
    assert told(admin.get("Patient/$explain?_id=1"), "growth") == ["Nothing: a page costs its own rows."]
    answer = admin.get("Patient/$explain?name:contains=abc&_total=accurate")
    assert told(answer, "verified") == [True]
    assert len(told(answer, "growth")) == 2
    assert "read until" in told(admin.get("Patient/$explain?gender:missing=true"), "growth")[0]
    assert "sorts every match" in told(admin.get("Observation/$explain?status=final&_sort=value-quantity"), "growth")[0]
    assert "in the order of date;" in told(admin.get("Observation/$explain?_sort=-date,code"), "growth")[0]
    assert "Observation:subject" in told(admin.get("Observation/$explain?_include=Observation:subject"), "includes")[0]


def test_only_admin_is_told_what_follows_from_others_records(client, admin):
    for scopes in ("system/Observation.rs", "system/Observation.rs?status=final"):
        answer = client(scopes).get("Observation/$explain?code=a")
        assert told(answer, "parameter") == ["code"]
        assert not any(told(answer, name) for name in ("sql", "plan", "rows", "words"))
    restricted = client("system/Observation.rs?status=final", name="restricted")
    before = restricted.get("Observation/$explain?code=a").json
    for number in range(5):
        admin.create(observation(value=number, code="a", status="preliminary"))
    assert restricted.get("Observation/$explain?code=a").json == before
    assert "conditions" in told(restricted.get("Observation/$explain?code=a"), "grant")[0]
    client("system/Patient.rs admin").get("Observation/$explain?code=a").refused(403, "forbidden")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_cannot_be_explained_is_refused_as_the_search_is(admin):
    admin.get("Observation/$explain?nonsense=1").refused(400, "invalid", "nonsense")
    admin.get("$explain").refused(400, "invalid", "search", "or those of a search over all types")
    admin.get("$explain?search=Patient&x=1").refused(400, "invalid", "search")
    admin.get("$explain?search=Paciente%3Fname%3Dx").refused(404, "not-supported", "search")
    admin.get("Patient/1/$explain").refused(404, "not-found", "http.url")
    admin.get("$explain?search=Patient/1").refused(400, "invalid", "search")
