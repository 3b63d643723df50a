"""R4's own profiles and extensions are judged by without being installed."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.profiles import read
from hie.store import packages
from hie.store.packages import REMEMBERED_MICROSECONDS
from tests.builders import VITAL_SIGN, observation, patient
from tests.packages import element, manifest, profile, tarball

R4 = "http://hl7.org/fhir/StructureDefinition/"
WEIGHT = R4 + "bodyweight"


def errors(answer: Any) -> set[tuple[str, str]]:
    assert answer.status == 200, answer.content
    return {(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == "error"}


def weight(unit: str = "kg", **more: Any) -> Any:
    return observation("Patient/1", code="29463-7", category=[VITAL_SIGN], valueQuantity={
        "value": 70, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}) | more  # fmt: skip


@pytest.mark.proves("operation:any/$validate")
def test_a_profile_of_r4_is_asked_in_its_version_and_no_other(fhir: Any) -> None:
    for named in (WEIGHT, WEIGHT + "%7C4.0.1"):
        assert errors(fhir.post(f"Observation/$validate?profile={named}", weight())) == set()
        wrong = fhir.post(f"Observation/$validate?profile={named}", weight("cm"))
        assert errors(wrong) == {("code-invalid", "Observation.value.code")}
    without = {key: one for key, one in weight().items() if key != "category"}
    assert ("required", "Observation.category") in errors(fhir.post(f"Observation/$validate?profile={WEIGHT}", without))
    fhir.post(f"Observation/$validate?profile={WEIGHT}%7C4.0.0", weight()).refused(400, "not-supported", "profile")


def test_extensions_of_r4_are_judged_and_others_told(fhir: Any) -> None:
    born = {"url": R4 + "patient-birthPlace", "valueAddress": {"city": "Graz"}}
    right = patient(extension=[born, {"url": "http://example.org/own", "valueCode": "x"}])
    answer = fhir.post("Patient/$validate", right)
    assert errors(answer) == set()
    told = [one["diagnostics"] for one in answer.json["issue"] if one["severity"] == "information"]
    assert told == ["Not checked, since no installed package defines them: http://example.org/own."]
    wrong = patient(extension=[{"url": born["url"], "valueString": "Graz"}], contact=[{
        "name": {"text": "x"}, "extension": [born]}])  # fmt: skip
    assert errors(fhir.post("Patient/$validate", wrong)) == {
        ("structure", "Patient.extension[0].value"), ("extension", "Patient.contact[0].extension[0]")}


def test_what_declares_a_profile_of_r4_is_judged_on_write_where_a_tenant_wants_it(fhir: Any, treat: Any) -> None:
    fhir.create(patient())
    declaring = weight("cm", meta={"profile": [WEIGHT]}) | {"subject": {"display": "x"}}
    assert fhir.post("Observation", declaring).status == 201
    treat("reject")
    fhir.post("Observation", declaring).refused(422, "code-invalid", "Observation.value.code")


def test_what_is_installed_goes_before_r4_and_r4_before_what_is_stored(app: Any, fhir: Any, clock: Any) -> None:
    own = profile("x", "Observation", element("Observation.note", min=1), version="4.0.1") | {"url": WEIGHT}
    fhir.create(own | {"baseDefinition": R4 + "Observation", "snapshot": {"element": [
        {"definition": "x", "base": {"path": one["path"], "min": 0, "max": "*"}} | one
        for one in own["snapshot"]["element"]]}})  # fmt: skip
    assert errors(fhir.post(f"Observation/$validate?profile={WEIGHT}", weight())) == set()
    store = app.extensions["hie"].store
    content = tarball(own | {"version": "5.1.0"}, package=manifest("hl7.fhir.uv.extensions"))
    store.database.write(lambda connection: packages.add(connection, read(content), 0))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    assert errors(fhir.post(f"Observation/$validate?profile={WEIGHT}", weight())) == {("required", "Observation.note")}
    assert errors(fhir.post(f"Observation/$validate?profile={WEIGHT}%7C4.0.1", weight())) == set()
