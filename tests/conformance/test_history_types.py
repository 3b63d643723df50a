"""`_type` of the history of the system, by which a client follows changes of some types; LinuxForHealth has it."""

import pytest

from tests.builders import bundle, entry, observation, patient


@pytest.fixture
def stored(fhir):
    """Versions of three types, one after the other, a deletion among them."""
    for number in range(3):
        fhir.put("Patient/1", patient(id="1", birthDate=f"199{number}"))
        fhir.put("Observation/1", observation("Patient/1", value=60 + number, id="1"))
        fhir.put("Organization/1", {"resourceType": "Organization", "id": "1", "name": f"name {number}"})
    fhir.delete("Observation/1")
    fhir.put("Patient/2", patient(id="2", meta={"tag": [{"code": "x"}]}))
    return fhir


def told(answer):
    assert answer.status == 200, answer.content
    return [(row["fullUrl"].removeprefix("http://localhost/fhir/"), row["response"]["etag"])
            for row in answer.entries()]  # fmt: skip


def walked(fhir, url):
    found = []
    while url:
        page = fhir.get(url)
        found += told(page)
        assert page.json["total"] == fhir.get(url).json["total"]
        url = page.link("next")
        assert url is None or "_type=" in url
    return found


TYPES = ("Patient", "Patient,Observation", "Basic,Observation", "Basic", "Basic,Flag")


@pytest.mark.parametrize("more", ["", "&_count=2", "&_count=3&_sort=_lastUpdated", "&_since=2020", "&_at=ge2020"])
def test_versions_of_these_types_come_in_the_order_of_all(stored, more, subtests):
    everything = told(stored.get("_history" + ("?_sort=_lastUpdated" if "_sort" in more else "")))
    for types in TYPES:
        with subtests.test(types):
            wanted = [one for one in everything if one[0].partition("/")[0] in types.split(",")]
            assert walked(stored, f"_history?_type={types}{more}") == wanted
            assert stored.get(f"_history?_type={types}&_count=0").json["total"] == len(wanted)


def test_types_may_be_named_one_by_one(stored):
    both = told(stored.get("_history?_type=Patient,Observation"))
    assert told(stored.get("_history?_type=Patient&_type=Observation&_type=Patient")) == both
    assert told(stored.get("_history?_type=Patient, Observation")) == both


def test_a_link_is_of_the_types_that_its_first_page_was_of(stored):
    link = stored.get("_history?_type=Patient,Observation&_count=1").link("next")
    other = link.replace("Observation", "Organization", 1)
    stored.get(other).refused(400, "invalid", "_cursor", text="begin again")


def test_a_token_asks_for_types_that_its_scopes_have(stored, client):
    some = client("system/Patient.rs?_tag=x", "system/Observation.rs")
    assert {url for url, _ in told(some.get("_history"))} == {"Patient/2", "Observation/1"}
    assert told(some.get("_history?_type=Patient")) == [("Patient/2", 'W/"1"')]
    assert told(some.get("_history?_type=Patient,Observation")) == told(some.get("_history"))
    some.get("_history?_type=Organization").refused(403, "forbidden", text="system/Organization.s")
    some.get("_history?_type=Patient,Organization,Basic").refused(
        403, "forbidden", text="system/Basic.s, system/Organization.s")


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_may_ask_for_types(stored, type_):
    answer = stored.post("", bundle(entry("GET", "_history?_type=Patient,Basic&_count=2"), type_=type_))
    inside = answer.entries()[0]["resource"]
    assert [row["fullUrl"][-9:] for row in inside["entry"]] == ["Patient/2", "Patient/1"]


def test_what_is_no_type_is_refused(stored):
    for text in ("Bogus", "Patient,", "", "patient", "*"):
        stored.get(f"_history?_type={text}").refused(400, "invalid", "_type")
    for address in ("Patient/_history", "Patient/1/_history"):
        stored.get(f"{address}?_type=Patient").refused(400, "invalid", "_type", text="history of the system")
