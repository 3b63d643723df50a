"""$export: records in bulk files. https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

import json

import pytest

from hie.store.check import check
from tests.builders import bundle, encounter, entry, observation, patient, practitioner
from tests.conformance.conftest import Fhir
from tests.conformance.later import LATER

PARTS = {"Accept": "application/fhir+ndjson"}


def kicked_off(fhir: Fhir, url: str, method="GET", body=None, **headers) -> str:
    """Ask for an export; return the path of its status."""
    answer = fhir(method, url, body, **LATER | headers)
    assert answer.status == 202, answer.content
    return str(answer.headers["Content-Location"])


def manifest(fhir: Fhir, do_due, url: str, **more):
    address = kicked_off(fhir, url, **more)
    do_due()
    answer = fhir.get(address)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json"), answer.content
    return answer.json


def lines(fhir: Fhir, file) -> list:
    answer = fhir.get(file["url"], **PARTS)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/fhir+ndjson"), answer.content
    return [json.loads(line) for line in answer.content.decode().splitlines()]


def exported(fhir: Fhir, do_due, url: str, kind="output", **more) -> dict[str, list]:
    """Return the resources of an export by type, as they came."""
    told, found = manifest(fhir, do_due, url, **more), {}
    for file in told[kind]:
        rows = lines(fhir, file)
        assert file["count"] == len(rows)
        assert {row["resourceType"] for row in rows} == {file["type"]}
        found.setdefault(file["type"], []).extend(rows)
    return found


def ids(found) -> dict[str, list[str]]:
    return {name: sorted(row["id"] for row in rows) for name, rows in found.items()}


@pytest.fixture
def record(fhir) -> dict[str, str]:
    """Two patients, one with an encounter and an observation by a practitioner, and an Organization of nobody."""
    doctor = fhir.create(practitioner())["id"]
    one, two = (fhir.create(patient(family=name))["id"] for name in ("One", "Two"))
    by = [{"individual": {"reference": f"Practitioner/{doctor}"}}]
    met = fhir.create(encounter(f"Patient/{one}", participant=by))
    pulse = fhir.create(observation(f"Patient/{one}"))["id"]
    other = fhir.create(observation(f"Patient/{two}", value=60))["id"]
    nobodys = fhir.create({"resourceType": "Organization", "name": "Nobody's"})["id"]
    group = fhir.create({"resourceType": "Group", "type": "person", "actual": True,
                         "member": [{"entity": {"reference": f"Patient/{one}"}}]})["id"]  # fmt: skip
    return {"doctor": doctor, "one": one, "two": two, "met": met["id"], "pulse": pulse, "other": other,
            "nobodys": nobodys, "group": group}  # fmt: skip


@pytest.mark.proves("operation:base/$export", "documentation:respond-async")
def test_all_of_the_system_comes_in_files_of_one_type_each(fhir, record, do_due, application):
    address = kicked_off(fhir, "$export")
    waiting = fhir.get(address)
    assert (waiting.status, waiting.headers["X-Progress"], waiting.headers["Retry-After"]) == (202, "waiting", "1")
    fhir.get(f"{address}/Patient.1.ndjson").refused(404, "not-found")
    do_due()
    answer = fhir.get(address, Accept="application/json")
    told = answer.json
    assert (answer.headers["Content-Type"], "Expires" in answer.headers) == ("application/json", True)
    assert (told["request"], told["requiresAccessToken"]) == ("http://localhost/fhir/$export", True)
    assert (told["deleted"], told["error"]) == ([], [])
    assert all(file["url"].startswith(f"{address}/{file['type']}.") for file in told["output"])
    found = {file["type"]: lines(fhir, file) for file in told["output"]}
    assert ids(found) == {
        "Patient": sorted([record["one"], record["two"]]), "Encounter": [record["met"]],
        "Observation": sorted([record["pulse"], record["other"]]), "Practitioner": [record["doctor"]],
        "Organization": [record["nobodys"]], "Group": [record["group"]],
    }  # fmt: skip
    assert found["Organization"] == [fhir.get(f"Organization/{record['nobodys']}").json]
    assert check(application.store).problems == []


@pytest.mark.proves("operation:Patient/$export")
def test_the_records_of_all_patients_come_with_what_they_refer_to(fhir, record, do_due):
    found = ids(exported(fhir, do_due, "Patient/$export"))
    assert found == {
        "Patient": sorted([record["one"], record["two"]]), "Encounter": [record["met"]],
        "Observation": sorted([record["pulse"], record["other"]]), "Practitioner": [record["doctor"]],
        "Group": [record["group"]],
    }  # fmt: skip


@pytest.mark.proves("operation:Group/$export")
def test_the_records_of_a_groups_patients_come_alone(fhir, record, do_due):
    found = ids(exported(fhir, do_due, f"Group/{record['group']}/$export"))
    assert found == {"Patient": [record["one"]], "Encounter": [record["met"]], "Observation": [record["pulse"]],
                     "Practitioner": [record["doctor"]], "Group": [record["group"]]}  # fmt: skip


TYPED = {
    "$export?_type=Patient": {"Patient": ["one", "two"]},
    "$export?_type=Patient,Organization": {"Patient": ["one", "two"], "Organization": ["nobodys"]},
    "$export?_type=Patient&_type=Organization": {"Patient": ["one", "two"], "Organization": ["nobodys"]},
    "$export?_type=Device": {},
    "Patient/$export?_type=Observation": {"Observation": ["pulse", "other"]},
    "Patient/$export?_type=Practitioner": {"Practitioner": ["doctor"]},
    "Patient/$export?_type=Organization": {},
    "Group/{group}/$export?_type=Observation,Practitioner": {"Observation": ["pulse"], "Practitioner": ["doctor"]},
    "$export?_type=Observation&_typeFilter=Observation%3Fvalue-quantity%3Dgt70": {"Observation": ["pulse"]},
    "$export?_typeFilter=Patient%3Ffamily%3DOne,Patient%3Ffamily%3DOne%26gender%3Dfemale&_type=Patient":
        {"Patient": ["one"]},
    "$export?_typeFilter=Patient%3Ffamily%3DOne&_typeFilter=Patient%3Ffamily%3DTwo&_type=Patient":
        {"Patient": ["one", "two"]},
    "Patient/$export?_type=Patient,Observation&_typeFilter=Patient%3Ffamily%3DTwo%2COther":
        {"Patient": ["two"], "Observation": ["pulse", "other"]},
    "Patient/$export?_type=Patient,Practitioner&_typeFilter=Practitioner%3Ffamily%3DNobody":
        {"Patient": ["one", "two"]},
    "Patient/$export?_type=Practitioner&_typeFilter=Practitioner%3Ffamily%3DJones": {"Practitioner": ["doctor"]},
    "Group/{group}/$export?_type=Observation&_typeFilter=Observation%3Fcode%3D1": {},
}


def test_types_and_filters_choose(fhir, record, do_due, subtests):
    for url, expected in TYPED.items():
        with subtests.test(url):
            found = ids(exported(fhir, do_due, url.format(**record)))
            assert found == {name: sorted(record[one] for one in names) for name, names in expected.items()}


def test_what_is_asked_may_stand_in_a_body(fhir, record, do_due):
    parameters = [{"name": "_type", "valueString": "Patient,Observation"},
                  {"name": "_outputFormat", "valueString": "application/ndjson"},
                  {"name": "patient", "valueReference": {"reference": f"Patient/{record['two']}"}}]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": parameters}
    told = manifest(fhir, do_due, "Patient/$export", method="POST", body=body)
    assert told["request"] == "http://localhost/fhir/Patient/$export", "without what the body says"
    found = {file["type"]: lines(fhir, file) for file in told["output"]}
    assert ids(found) == {"Patient": [record["two"]], "Observation": [record["other"]]}
    in_group = f"Group/{record['group']}/$export"
    fhir.post(in_group, body, **LATER).refused(400, "invalid", "patient", "no member")
    parameters[-1]["valueReference"]["reference"] = f"http://localhost/fhir/Patient/{record['one']}"
    found = ids(exported(fhir, do_due, in_group, method="POST", body=body))
    assert found == {"Patient": [record["one"]], "Observation": [record["pulse"]]}
    parameters[-1]["valueReference"]["reference"] = "Patient/none"
    fhir.post("Patient/$export", body, **LATER).refused(404, "not-found", "patient")
    parameters[-1]["valueReference"]["reference"] = "Practitioner/1"
    fhir.post("Patient/$export", body, **LATER).refused(400, "invalid", "patient")


REFUSED = {
    "$export?_outputFormat=text/csv": (400, "not-supported", "_outputFormat"),
    "$export?_type=Patient,Foo": (400, "invalid", "_type"),
    "$export?_type=Patient,": (400, "invalid", "_type"),
    "$export?_since=2020": (400, "invalid", "_since"),
    "$export?_since=2020-01-01T00:00:00": (400, "invalid", "_since"),
    "$export?_since=2999-01-01T00:00:00Z": (400, "invalid", "_since"),
    "$export?_elements=nothing": (400, "invalid", "_elements"),
    "$export?_elements=Patient.name.family": (400, "invalid", "_elements"),
    "$export?_typeFilter=Foo%3Fa%3Db": (400, "invalid", "_typeFilter"),
    "$export?_typeFilter=Patient": (400, "invalid", "_typeFilter"),
    "$export?_typeFilter=Patient%3Fcolour%3Dred": (400, "invalid", "_typeFilter"),
    "$export?_typeFilter=Patient%3F_sort%3Dname": (400, "not-supported", "_typeFilter"),
    "$export?_typeFilter=Patient%3F_revinclude%3DObservation:subject": (400, "not-supported", "_typeFilter"),
    "$export?_typeFilter=Patient%3Fname%3Da&_type=Observation": (400, "invalid", "_typeFilter"),
    "$export?includeAssociatedData=Everything": (400, "not-supported", "includeAssociatedData"),
    "$export?patient=Patient/1": (400, "invalid", "patient"),
    "$export?organizeOutputBy=Patient": (400, "invalid", "organizeOutputBy"),
    "Patient/$export?patient=Patient/1": (400, "invalid", "patient"),
    "Group/none/$export": (404, "not-found", None),
    "Patient/1/$export": (404, "not-found", None),
    "Observation/$export": (404, "not-found", None),
}


def test_what_cannot_be_exported_is_refused_at_once(fhir, subtests):
    for url, (status, code, expression) in REFUSED.items():
        with subtests.test(url):
            fhir.get(url, **LATER).refused(status, code, expression)


def test_an_export_is_answered_later_alone(fhir, record):
    fhir.get("$export").refused(400, "invalid", "http.Prefer", "Prefer: respond-async")
    rows = fhir.post("", bundle(entry("GET", "$export"), type_="batch")).entries()
    assert rows[0]["response"]["status"].startswith("400")
    fhir.get("$export", **LATER, Accept="text/csv").refused(406, "not-supported")


def test_lenient_handling_leaves_out_what_is_unknown_and_tells(fhir, record, do_due):
    lenient = {"Prefer": "respond-async, handling=lenient"}
    found = exported(fhir, do_due, "$export?_type=Patient&organizeOutputBy=Patient", "error", **lenient)
    (told,) = found["OperationOutcome"]
    assert "organizeOutputBy" in told["issue"][0]["diagnostics"]


def test_elements_cut_what_files_hold(fhir, record, do_due):
    found = exported(fhir, do_due, "$export?_type=Patient,Organization&_elements=Patient.gender")
    assert {frozenset(one) for one in found["Patient"]} == {frozenset({"resourceType", "id", "meta", "gender"})}
    assert found["Patient"][0]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert found["Organization"][0]["name"] == "Nobody's"


def test_what_was_changed_since_comes_and_what_was_deleted_is_told(fhir, record, do_due, clock):
    clock.now += 120_000_000
    before = manifest(fhir, do_due, "$export")["transactionTime"]
    clock.now += 120_000_000
    url = f"$export?_since={before}"
    assert exported(fhir, do_due, url) == {}
    fresh = fhir.create(observation(f"Patient/{record['one']}", value=70))["id"]
    fhir.delete(f"Observation/{record['other']}")
    back = fhir.create(patient(family="Three"))["id"]
    fhir.delete(f"Patient/{back}")
    fhir.put(f"Patient/{back}", patient(id=back, family="Three"))
    assert ids(exported(fhir, do_due, url)) == {"Observation": [fresh], "Patient": [back]}
    (line,) = exported(fhir, do_due, url, "deleted")["Bundle"]
    assert line == {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": f"Observation/{record['other']}"}}]}  # fmt: skip
    assert ids(exported(fhir, do_due, url.replace("$", "Patient/$"))) == {"Observation": [fresh], "Patient": [back]}
    (line,) = exported(fhir, do_due, f"Patient/{url}", "deleted")["Bundle"]
    assert line["entry"][0]["request"]["url"] == f"Observation/{record['other']}"
    assert exported(fhir, do_due, f"Group/{record['group']}/{url}", "deleted") == {}, "it was of another patient"
    doctor = practitioner()
    fhir.put(f"Practitioner/{record['doctor']}", doctor | {"id": record["doctor"], "active": True})
    found = ids(exported(fhir, do_due, f"Group/{record['group']}/{url}"))
    assert found == {"Observation": [fresh], "Practitioner": [record["doctor"]]}, "what refers to it did not change"


def test_what_is_erased_since_is_told_to_who_has_records_of_patients(fhir, record, do_due, clock, client):
    clock.now += 120_000_000
    before = manifest(fhir, do_due, "Patient/$export")["transactionTime"]
    clock.now += 120_000_000
    fhir.delete(f"Observation/{record['pulse']}")
    assert client("admin system/*.cruds").delete(f"Observation/{record['pulse']}/_history").status == 200
    for whose in ("", "Patient/", f"Group/{record['group']}/"):
        (line,) = exported(fhir, do_due, f"{whose}$export?_since={before}", "deleted")["Bundle"]
        assert [one["request"]["url"] for one in line["entry"]] == [f"Observation/{record['pulse']}"], whose


def test_files_show_one_moment_whatever_is_written_later(fhir, record, do_due):
    address = kicked_off(fhir, "$export?_type=Patient,Observation")
    do_due()
    files = {file["type"]: file for file in fhir.get(address).json["output"]}
    before = lines(fhir, files["Patient"])
    fhir.put(f"Patient/{record['one']}", patient(id=record["one"], family="Changed"))
    fhir.delete(f"Observation/{record['other']}")
    fhir.create(patient(family="Later"))
    assert lines(fhir, files["Patient"]) == before
    assert ids({"Observation": lines(fhir, files["Observation"])}) == {
        "Observation": sorted([record["pulse"], record["other"]])}  # fmt: skip


def test_what_is_erased_for_good_is_in_no_file(fhir, record, do_due, client):
    address = kicked_off(fhir, "$export?_type=Observation")
    do_due()
    (file,) = fhir.get(address).json["output"]
    fhir.delete(f"Observation/{record['other']}")
    assert client("admin system/*.cruds").delete(f"Observation/{record['other']}/_history").status == 200
    assert [one["id"] for one in lines(fhir, file)] == [record["pulse"]]


def test_files_are_their_clients_alone_and_go_with_their_address(fhir, record, do_due, client, nobody, application):
    address = kicked_off(fhir, "$export?_type=Patient")
    do_due()
    (file,) = fhir.get(address).json["output"]
    other = client("system/*.rs")
    for asked in (address, file["url"]):
        other.get(asked).refused(404, "not-found")
        nobody.get(asked).refused(401, "login")
    for name in ("Patient.2.ndjson", "Observation.1.ndjson", "Patient.1.json", "x"):
        fhir.get(f"{address}/{name}").refused(404, "not-found")
    fhir.get(f"{file['url']}?_elements=name").refused(400, "invalid", "http.url")
    fhir.delete(file["url"]).refused(405, "not-supported")
    fhir.get(file["url"], Accept="text/csv").refused(406, "not-supported")
    for accept in ("application/fhir+ndjson", "application/ndjson;q=0.5", "*/*", "application/json"):
        assert fhir.get(file["url"], Accept=accept).status == 200, accept
    assert fhir.delete(address).status == 202
    fhir.get(address).refused(404, "not-found")
    fhir.get(file["url"]).refused(404, "not-found")
    assert check(application.store).problems == []


def test_a_token_is_given_what_it_may_read_and_search(record, do_due, client):
    some = client("system/Patient.rs system/Observation.rs?value-quantity=gt70 system/Organization.r")
    assert ids(exported(some, do_due, "$export")) == {
        "Patient": sorted([record["one"], record["two"]]), "Observation": [record["pulse"]]}  # fmt: skip
    assert ids(exported(some, do_due, "Patient/$export?_type=Observation")) == {"Observation": [record["pulse"]]}
    some.get("$export?_type=Organization", **LATER).refused(403, "forbidden", "_type")
    some.get("$export?_typeFilter=Organization%3Fname%3Da", **LATER).refused(403, "forbidden", "_typeFilter")
    client("system/Organization.c").get("$export", **LATER).refused(403, "forbidden")
    client("system/Observation.rs").get("Patient/$export", **LATER).refused(403, "forbidden")
    some.get(f"Group/{record['group']}/$export", **LATER).refused(403, "forbidden")
    mine = client(f"system/Observation.rs?patient={record['one']} system/Patient.rs?_id={record['one']}")
    found = ids(exported(mine, do_due, "Patient/$export?_type=Patient,Observation"))
    assert found == {"Patient": [record["one"]], "Observation": [record["pulse"]]}


PROVENANCE = {
    "resourceType": "Provenance", "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}],
}  # fmt: skip


def test_provenance_comes_with_what_it_is_of(fhir, record, do_due):
    target = [{"reference": f"Observation/{record['pulse']}"}]
    old, new = (fhir.create(PROVENANCE | {"target": target, "recorded": f"{year}-01-01T00:00:00Z"})["id"]
                for year in (2020, 2023))  # fmt: skip
    of_nobody = fhir.create(PROVENANCE | {"target": [{"reference": f"Organization/{record['nobodys']}"}]})["id"]
    of_group = f"Group/{record['group']}/$export"
    for url, expected in {
        "$export?_type=Provenance": [old, new, of_nobody], "$export?_type=Observation": None,
        "$export?_type=Observation&includeAssociatedData=RelevantProvenanceResources": [old, new],
        "$export?_type=Observation&includeAssociatedData=LatestProvenanceResources": [new],
        "Patient/$export": [old, new], "Patient/$export?_type=Observation": None, of_group: [old, new],
        f"{of_group}?_type=Observation&includeAssociatedData=LatestProvenanceResources": [new],
        f"{of_group}?_type=Patient&includeAssociatedData=RelevantProvenanceResources": None,
    }.items():  # fmt: skip
        found = ids(exported(fhir, do_due, url))
        assert found.get("Provenance") == (None if expected is None else sorted(expected)), url


def test_provenance_comes_of_what_records_refer_to(fhir, record, do_due):
    of_pulse, of_doctor, of_nobody = (
        fhir.create(PROVENANCE | {"target": [{"reference": one}]})["id"] for one in (
            f"Observation/{record['pulse']}", f"Practitioner/{record['doctor']}", f"Organization/{record['nobodys']}"))
    assert of_nobody
    both, relevant = sorted([of_pulse, of_doctor]), "includeAssociatedData=RelevantProvenanceResources"
    named, other = "_typeFilter=Practitioner%3Ffamily%3DJones", "_typeFilter=Practitioner%3Ffamily%3DNobody"
    for url, expected in {
        "": both, "_type=Practitioner,Provenance": both, f"_type=Practitioner&{relevant}": [of_doctor],
        f"_type=Observation&{relevant}": [of_pulse], f"_type=Practitioner&{relevant}&{named}": [of_doctor],
        f"_type=Practitioner&{relevant}&{other}": None,
        "_type=Practitioner&includeAssociatedData=LatestProvenanceResources": [of_doctor],
    }.items():
        for whose in ("Patient", f"Group/{record['group']}"):
            assert ids(exported(fhir, do_due, f"{whose}/$export?{url}")).get("Provenance") == expected, (whose, url)


def test_the_addresses_of_attachments_are_absolute(fhir, record, do_due):
    image = fhir.create({"resourceType": "Binary", "contentType": "text/plain", "data": "QUJD"})["id"]
    content = [{"attachment": {"contentType": "text/plain", "url": f"Binary/{image}"}}]
    fhir.create({"resourceType": "DocumentReference", "status": "current", "content": content})
    (found,) = exported(fhir, do_due, "$export?_type=DocumentReference")["DocumentReference"]
    assert found["content"][0]["attachment"]["url"] == f"http://localhost/fhir/Binary/{image}"
    (kept,) = fhir.get("DocumentReference").resources()
    assert kept["content"][0]["attachment"]["url"] == f"Binary/{image}", "as it was sent"
