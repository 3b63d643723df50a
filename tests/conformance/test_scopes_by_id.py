"""Tokens for single resources: system/Patient.rs?_id=1 (SMART granular scopes)"""

import pytest

from tests.builders import bundle, entry, observation, patient

JSON_PATCH = {"Content_Type": "application/json-patch+json"}


@pytest.fixture
def people(fhir):
    for id_ in ("a", "b", "c"):
        fhir.put(f"Patient/{id_}", patient(id_.upper(), id=id_))
        fhir.put(f"Observation/{id_}", observation(f"Patient/{id_}", id=id_))
    fhir.create(observation("Patient/c", contained=[patient("Inside", id="a")], focus=[{"reference": "#a"}]))
    return fhir


@pytest.mark.parametrize(("condition", "seen"), [("_id=a", "a"), ("_id=a,c", "ac"), ("_id:not=a", "bc"),
                                                 ("_id=a&family=b", ""), ("_id=a&_id=a", "a")])
def test_a_token_reads_and_writes_the_resources_that_its_condition_names(client, people, condition, seen):
    narrow = client(f"system/Patient.cruds?{condition}", "system/Observation.rs")
    answer = narrow.get("Patient?_total=accurate&_sort=_id")
    assert ([one["id"] for one in answer.resources()], answer.json["total"]) == (list(seen), len(seen))
    for id_ in "abc":
        shown = id_ in seen
        assert narrow.get(f"Patient/{id_}").status == (200 if shown else 404)
        assert narrow.get(f"Patient/{id_}/_history").status == (200 if shown else 404)
        named = f"{id_.upper()}" if "family" not in condition else "b"
        changed = patient(named, "Changed", id=id_)
        inside = narrow.post("", bundle(entry("PUT", f"Patient/{id_}", changed)))
        assert inside.status == (200 if shown else 403), inside.content
        patched = narrow("PATCH", f"Patient/{id_}", [{"op": "add", "path": "/active", "value": True}], **JSON_PATCH)
        assert (patched.status == 200) is shown
    assert {one["id"] for one in narrow.get("Patient/_history").resources()} == set(seen)
    then = people.get("Observation/c").json["meta"]["lastUpdated"]
    assert {one["id"] for one in narrow.get(f"?_type=Patient&_asOf={then}").resources()} == set(seen)
    chained = narrow.get("Observation?subject:Patient._lastUpdated=gt2000").resources()
    assert {one["id"] for one in chained if "contained" not in one} == set(seen)
    included = narrow.get("Observation?_include=Observation:subject").entries()
    assert {row["resource"]["id"] for row in included if row["search"]["mode"] == "include"} == set(seen)


def test_a_condition_on_ids_covers_what_is_stored_under_them_alone(client, people):
    narrow = client("system/Patient.crs?_id=a,new", "system/Observation.rs")
    narrow.post("Patient", patient()).refused(403, "forbidden")
    assert narrow.post("", bundle(entry("GET", "Patient/a"))).status == 200
    maker = client("system/Patient.cruds?_id=new")
    assert maker.put("Patient/new", patient(id="new")).status == 201
    maker.put("Patient/other", patient(id="other")).refused(403, "forbidden")
    # #a inside of an Observation is not Patient/a
    assert narrow.get("Observation?focus:Patient.family=Inside").resources() == []
    narrow.get("Patient?_contained=true&family=Inside").refused(403, "forbidden")
    assert narrow.delete("Patient/a").status == 403


def test_what_a_named_resource_contains_is_found_by_chains(client, people):
    """The condition on ids is one on what contains it, which is a resource of its own."""
    people.put("Observation/in", observation("Patient/c", id="in", contained=[patient("Inside", id="a")],
                                             focus=[{"reference": "#a"}]))
    assert people.total("Observation?focus:Patient.family=Inside") == 2
    narrow = client("system/Observation.rs?_id=in,b", "system/Patient.rs")
    for end in ("family=Inside", "family:contains=nsid", "birthdate=1970"):
        assert [one["id"] for one in narrow.get(f"Observation?focus:Patient.{end}").resources()] == ["in"]
