"""What an operation answers of many large resources at once is bounded by their bytes, not by their number alone."""

import pytest

from hie.operations import scanning
from tests.builders import observation, patient

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])  # counted above the database
MOST = 100_000
LARGE = [{"text": "x" * 30_000}]
PATIENT, URN = "Patient/p", "urn:s"
STATS = f"Observation/$stats?subject={PATIENT}&system={URN}&statistic=count"


@pytest.fixture
def large(fhir, monkeypatch):
    """Six Observations of 30 kB with one code, and a panel of them, where 100 kB may be kept for one answer."""
    monkeypatch.setattr(scanning, "MOST_BYTES", MOST)
    fhir.put(PATIENT, patient(id="p"))
    coded = {"coding": [{"system": URN, "code": "c"}]}
    for number in range(6):
        one = observation(PATIENT, id=f"o{number}", effectiveDateTime=f"2024-01-0{number + 1}", note=LARGE)
        its = {"value": number, "system": "http://unitsofmeasure.org", "code": "mg"}
        assert fhir.put(f"Observation/o{number}", one | {"code": coded, "valueQuantity": its}).status == 201
    members = [{"reference": f"Observation/o{number}"} for number in range(6)]
    panel = observation(PATIENT, id="panel", effectiveDateTime="2024-02-01", hasMember=members)
    panel.pop("valueQuantity")
    assert fhir.put("Observation/panel", panel | {"code": {"coding": [{"system": URN, "code": "panel"}]}}).status == 201
    return fhir


def test_lastn_keeps_what_it_will_show(large):
    url = f"Observation/$lastn?{PATIENT.replace('/', '=').lower()}&code=c"
    assert len(large.get(f"{url}&max=2").entries()) == 2
    large.get(f"{url}&max=6").refused(422, "too-costly", "max", f"More than {MOST} bytes")
    assert len(large.get(f"{url}&max=6&_elements=status").entries()) == 6
    assert large.get(f"{url}&max=6&_summary=count").json["total"] == 6
    with_patient = large.get(f"{url}&max=2&_elements=status&_include=Observation:subject").entries()
    assert [row["search"]["mode"] for row in with_patient] == ["match", "match", "include"]
    assert "note" not in with_patient[0]["resource"]


def test_lastn_lets_go_what_codes_that_turn_out_equal_leave_out(large):
    """c and d are two groups until an Observation has both; then one of each pair is kept no longer."""
    for number, codes in ((1, "d"), (2, "e"), (3, "cde"), (4, "f")):
        coded = {"coding": [{"system": URN, "code": code} for code in codes]}
        large.put(f"Observation/d{number}", observation(
            PATIENT, id=f"d{number}", effectiveDateTime=f"2023-01-0{6 - number}", note=LARGE) | {"code": coded})
    found = large.get("Observation/$lastn?patient=p&code=c,d,e,f").resources()
    assert [one["id"] for one in found] == ["o5", "d4"]


def test_stats_keeps_the_sources_that_it_includes(large):
    for code in ("c", "panel"):
        url = f"{STATS}&code={code}"
        assert large.get(url).json["parameter"][0]["resource"]["component"][0]["valueQuantity"]["value"] == 6
        large.get(f"{url}&include=true").refused(422, "too-costly", "limit", f"More than {MOST} bytes")
        sources = [row for row in large.get(f"{url}&include=true&limit=2").json["parameter"] if row["name"] == "source"]
        assert len(sources) == 2


def test_stats_looks_up_so_many_members_of_panels(large, monkeypatch):
    monkeypatch.setattr(scanning, "PAGE", 2)
    assert large.get(f"{STATS}&code=panel").status == 200
    monkeypatch.setattr(scanning, "MOST", 5)
    large.get(f"{STATS}&code=panel").refused(422, "too-costly", "period", "The panels have more than 5 members")


def test_the_metas_of_many_are_no_larger_together(large):
    for number in range(4):
        tag = {"system": URN, "code": f"{number}-{'x' * 30_000}"}
        large.create({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [tag]}})
        answer = large.get("Basic/$meta")
        assert number == 3 or len(answer.json["parameter"][0]["valueMeta"]["tag"]) == number + 1
    answer.refused(422, "too-costly", "http.url", f"More than {MOST} bytes")


def test_groups_in_a_group_are_opened_one_by_one_and_counted(large):
    member = {"entity": {"reference": PATIENT}, "period": {"start": "2020-01-01"}}
    for number in range(3):
        group = {"resourceType": "Group", "type": "person", "actual": True}
        assert large.put(f"Group/g{number}", group | {"id": f"g{number}", "member": [member] * 500}).status == 201
        named = [{"entity": {"reference": f"Group/g{one}"}} for one in range(number + 1)]
        large.put("Group/all", group | {"id": "all", "member": named})
        answer = large.get("Group/all/$everything?_type=Patient")
        assert number == 2 or [one["id"] for one in answer.resources()] == ["p"]
    answer.refused(422, "too-costly", "Group.member", f"More than {MOST} bytes")


def test_a_history_that_is_read_for_recommendations_is_bounded(large):
    for number in range(4):
        condition = {"resourceType": "Condition", "subject": {"reference": PATIENT}, "note": LARGE,
                     "code": {"coding": [{"system": "http://snomed.info/sct", "code": "73211009"}]}}
        assert large.get(f"{PATIENT}/$recommend").status == 200, number
        assert large.post("Condition", condition).status == 201
    large.get(f"{PATIENT}/$recommend").refused(422, "too-costly", "Patient", f"More than {MOST} bytes")
