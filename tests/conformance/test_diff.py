"""$diff, $convert and $versions: docs/api/operations.md"""

import pytest

from tests.builders import observation, patient


def changes(answer):
    """Type and path of each operation of the patch."""
    assert answer.status == 200, answer.content
    rows = [{part["name"]: part for part in row["part"]} for row in answer.json.get("parameter", [])]
    return [(row["type"]["valueCode"], row["path"]["valueString"]) for row in rows]


def patched(client, url, patch):
    answer = client("PATCH", url, patch, Content_Type="application/fhir+json")
    assert answer.status == 200, answer.content
    return answer.json


@pytest.mark.proves("operation:any/$diff")
def test_the_difference_of_two_versions_is_a_patch_that_makes_the_one_the_other(fhir):
    phones = [{"system": "phone", "value": "1"}, {"system": "phone", "value": "2"}]
    first = fhir.create(patient(telecom=phones, contact=[{"name": {"family": "W"}}]))
    url = f"Patient/{first['id']}"
    second = {**first, "gender": "male", "multipleBirthBoolean": True,
              "telecom": [{**phones[0], "value": "0"}, phones[1]],
              "contact": [{"name": {"family": "W"}}, {"name": {"family": "X"}, "gender": "male"}]}
    del second["birthDate"]
    fhir.put(url, second)
    answer = fhir.get(f"{url}/$diff")
    assert sorted(changes(answer)) == [
        ("add", "Patient"), ("delete", "Patient.birthDate"), ("insert", "Patient.contact"),
        ("replace", "Patient.gender"), ("replace", "Patient.telecom[0].value")]
    assert ("replace", "Patient.meta.versionId") in changes(fhir.get(f"{url}/$diff?includeMeta=true"))
    assert changes(fhir.get(f"{url}/$diff?fromVersion=2&toVersion=2")) == []
    back = fhir.get(f"{url}/$diff?fromVersion=2&toVersion=1")
    restored = patched(fhir, url, back.json)
    assert {**restored, "meta": None} == {**first, "meta": None}


@pytest.mark.proves("operation:base/$diff")
def test_two_resources_are_compared(fhir, client):
    one, other = fhir.create(observation(value=1)), fhir.create(observation(value=2))
    there = f"$diff?from=Observation/{one['id']}&to=http://localhost/fhir/Observation/{other['id']}/_history/1"
    assert changes(fhir.get(there)) == [("replace", "Observation.value.value")]
    plain = {name: value for name, value in observation().items() if name != "valueQuantity"}
    text = fhir.create({**plain, "valueString": "x"})
    assert changes(fhir.get(f"$diff?from=Observation/{one['id']}&to=Observation/{text['id']}")) == [
        ("replace", "Observation.value")]
    narrow = client("system/Observation.rs?value-quantity:missing=true")
    narrow.get(there).refused(404, "not-found")
    client("system/Patient.rs").get(there).refused(403, "forbidden")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_cannot_be_compared_is_refused(fhir):
    made = fhir.create(patient())["id"]
    other = fhir.create(observation())["id"]
    url = f"Patient/{made}/$diff"
    fhir.get(url).refused(404, "not-found", "fromVersion")
    fhir.get(f"{url}?fromVersion=0").refused(400, "invalid", "fromVersion")
    fhir.get(f"{url}?fromVersion=7").refused(404, "not-found")
    fhir.get(f"{url}?from=Patient/1").refused(400, "invalid", "from")
    fhir.get(f"{url}?includeMeta=x").refused(400, "invalid", "includeMeta")
    fhir.get(f"$diff?from=Patient/{made}").refused(400, "invalid", "to")
    fhir.get(f"$diff?from=Patient/{made}&to=x").refused(400, "invalid", "to")
    fhir.get(f"$diff?from=Patient/{made}&to=Observation/{other}").refused(400, "invalid", "to")
    fhir.get("Patient/nobody/$diff").refused(404, "not-found")


# ---- $convert, $versions ---------------------------------------------------------------------------------------------


@pytest.mark.proves("operation:base/$convert")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_convert_writes_what_was_read_in_the_other_format(fhir):
    there = observation(value=1)
    xml = fhir.post("$convert", there, Accept="application/fhir+xml")
    assert xml.headers["Content-Type"].startswith("application/fhir+xml")
    assert b'<value value="1"' in xml.content
    back = fhir.post("$convert", xml.content, Content_Type="application/fhir+xml", Accept="application/fhir+json")
    assert back.json == there
    digits = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    assert fhir.post("$convert", digits).content == digits
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "input", "resource": there}]}
    assert fhir.post("$convert", wrapped).json == there
    assert fhir.total("Observation") == 0
    fhir.post("$convert", {**there, "status": None}).refused(400, "structure", "Observation.status")
    fhir.post("$convert").refused(400, "invalid", "input")


@pytest.mark.proves("operation:*/$versions")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_versions_names_fhir_4_0(fhir):
    for url in ("$versions", "CapabilityStatement/$versions"):
        assert fhir.get(url).json["parameter"] == [
            {"name": "version", "valueCode": "4.0"}, {"name": "default", "valueCode": "4.0"}]
    fhir.get("Patient/$versions").refused(404, "not-found", "http.url")
