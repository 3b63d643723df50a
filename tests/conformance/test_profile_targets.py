"""Slices behind references to what is stored: in $validate and on write, under the grant of who asks."""

from __future__ import annotations

from typing import Any

import pytest

from hie.store.resources import ResourceStore
from tests.builders import bundle, entry, observation, patient, post, put
from tests.conformance.test_profiles_stored import issues, stored
from tests.packages import BASE, element, profile, slicing

NAMED = stored(profile("named", "Patient", element("Patient.name", min=1)))
SEEN = stored(profile(
    "seen", "Observation",
    element("Observation.performer", slicing=slicing(("profile", "resolve()"), rules="closed")),
    element("Observation.performer:named", sliceName="named", min=1,
            type=[{"code": "Reference", "targetProfile": [BASE + "named"]}])))  # fmt: skip
NAMELESS = {"resourceType": "Patient", "id": "nameless"}


def seen(*texts: str, **more: Any) -> Any:
    performers = [{"reference": one} for one in texts]
    return observation(code="1-1", performer=performers, meta={"profile": [SEEN["url"]]}, **more)


@pytest.fixture
def people(fhir: Any) -> None:
    for one in (NAMED, SEEN):
        fhir.create(one)
    for one in (patient(id="anna"), NAMELESS):
        fhir.put(f"Patient/{one['id']}", one)


def undecided(answer: Any) -> bool:
    return any("cannot be told from what is at hand" in one["diagnostics"] for one in answer.json["issue"])


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.proves("operation:any/$validate")
@pytest.mark.usefixtures("people")
def test_a_stored_target_decides_of_a_slice_in_validate_and_on_write(fhir: Any, treat: Any) -> None:
    wrong = [("required", "Observation.performer"), ("structure", "Observation.performer[0]")]
    assert issues(fhir.post("Observation/$validate", seen("Patient/anna"))) == []
    assert issues(fhir.post("Observation/$validate", seen("http://localhost/fhir/Patient/anna"))) == []
    assert issues(fhir.post("Observation/$validate", seen("Patient/nameless"))) == wrong
    absent = fhir.post("Observation/$validate", seen("Patient/nobody"))
    assert (issues(absent), undecided(absent)) == ([], True)
    treat("warn")
    told = fhir.post("Observation", seen("Patient/nameless"), Prefer="return=OperationOutcome")
    assert told.status == 201
    assert [(one["severity"], one["expression"]) for one in told.json["issue"] if one["code"] == "required"] == [
        ("warning", ["Observation.performer"])]
    treat("reject")
    fhir.post("Observation", seen("Patient/nameless")).refused(422, "required", "Observation.performer")
    assert fhir.post("Observation", seen("Patient/anna")).status == 201
    fhir.delete("Patient/anna?_cascade=delete")
    absent = fhir.post("Observation/$validate", seen("Patient/anna"))
    assert (issues(absent), undecided(absent)) == ([], True)


@pytest.mark.usefixtures("people")
def test_a_target_that_the_token_may_not_read_is_as_one_that_is_not_there(fhir: Any, client: Any, treat: Any) -> None:
    treat("reject")
    definitions = "system/StructureDefinition.rs"
    for scopes in (("system/Observation.cruds",), ("system/Observation.cruds", "system/Patient.cu"),
                   ("system/Observation.cruds", "system/Patient.rs?gender=male")):
        blind = client(*scopes, definitions, name=" ".join(scopes))
        hidden = blind.post("Observation/$validate", seen("Patient/nameless"))
        absent = blind.post("Observation/$validate", seen("Patient/namefull"))
        assert hidden.status == 200
        assert undecided(hidden)
        assert hidden.content == absent.content
        assert blind.post("Observation/$validate", seen("Patient/anna")).content == absent.content
    seeing = client("system/Observation.cruds", "system/Patient.r", definitions)
    seeing.post("Observation", seen("Patient/nameless")).refused(422, "required", "Observation.performer")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("people")
def test_all_targets_are_read_at_once_and_none_without_such_a_slice(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    treat("reject")
    read: list[list[tuple[str, str]]] = []
    each_read = ResourceStore.each_read

    def heard(self: Any, targets: Any) -> Any:
        read.append(list(targets))
        return each_read(self, read[-1])

    monkeypatch.setattr(ResourceStore, "each_read", heard)
    many = [f"Patient/p{number}" for number in range(50)]
    assert fhir.post("Observation/$validate", seen("Patient/anna", *many)).status == 200
    assert [len(one) for one in read] == [51]
    read.clear()
    plain = observation("Patient/anna", code="1-1", meta={"profile": [NAMED["url"] + "/other"]})
    assert fhir.post("Observation", plain).status == 201
    assert read == []


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.usefixtures("people")
def test_in_a_transaction_a_target_is_what_it_will_be_in_any_order(fhir: Any, treat: Any, order: int) -> None:
    treat("reject")
    url = "urn:uuid:3d5ab5c4-4d04-4c4c-8d4e-3d5ab5c44d04"
    for name, coming in ((url, entry("POST", "Patient", NAMELESS) | {"fullUrl": url}),
                         ("Patient/anna", put({**NAMELESS, "id": "anna"}))):
        entries = [coming, post(seen(name))][::order]
        where = f"Bundle.entry[{entries.index(post(seen(name)))}].resource.performer"
        fhir.post("", bundle(*entries)).refused(422, "required", where)
    for name, coming in ((url, entry("POST", "Patient", patient()) | {"fullUrl": url}),
                         ("Patient/nameless", put(patient(id="nameless")))):
        assert fhir.post("", bundle(*[coming, post(seen(name))][::order])).status == 200
    existing = entry("POST", "Patient", NAMELESS, ifNoneExist="_id=anna") | {"fullUrl": url}
    assert fhir.post("", bundle(*[existing, post(seen(url))][::order])).status == 200, "what is found is named"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("people")
def test_what_a_transaction_brings_and_is_not_valid_is_told_of_that_alone(fhir: Any, treat: Any) -> None:
    treat("reject")
    url = "urn:uuid:3d5ab5c4-4d04-4c4c-8d4e-3d5ab5c44d04"
    broken = entry("POST", "Patient", {"resourceType": "Patient", "name": "x"}) | {"fullUrl": url}
    for entries in ([broken, post(seen(url))], [post(seen(url)), broken]):
        refused = fhir.post("", bundle(*entries))
        assert refused.status == 400
        assert {one["expression"][0] for one in refused.json["issue"] if one["severity"] == "error"} == {
            f"Bundle.entry[{entries.index(broken)}].resource.name"}
