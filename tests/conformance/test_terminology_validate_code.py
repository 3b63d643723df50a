"""Codes judged, and what is refused: https://hl7.org/fhir/R4/valueset-operation-validate-code.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import COLOURS, R4, SET, SHADES, SYSTEM, THO, body, coding, listed, told, value_set

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
#: In which `red` is a code of two code systems.
TWO = value_set(COLOURS, listed("urn:other", "red"))


VALIDATE_CODE_CASES: list[Any] = [
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}&code=pink", (), True, None),
    (f"ValueSet/$validate-code?url={SHADES}&code=pink", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=pink&display=pINK", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&display=Rot", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&display=Green", (), False, "display 'Green'"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=blue", (), False, "though its code system has it"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=ochre", (), False, "nor in its code system"),
    ("ValueSet/mine/$validate-code?system=http://snomed.info/sct&code=1", (), False, "is not in the value set"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=all", (), True, None),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=all&abstract=false", (), False, "is abstract"),
    ("ValueSet/$validate-code?context=Patient.gender&code=male", (), True, None),
    ("ValueSet/mine/$validate-code", ({"name": "coding", "valueCoding": coding("pink")},), True, None),
    ("ValueSet/mine/$validate-code", ({"name": "codeableConcept", "valueCodeableConcept": {
        "coding": [coding("x", "http://loinc.org"), coding("navy")]}},), True, None),
    ("ValueSet/$validate-code?code=pink", ({"name": "valueSet", "resource": SET},), True, None),
    (f"CodeSystem/$validate-code?url={COLOURS}&code=blue", (), True, None),
    (f"CodeSystem/$validate-code?url={COLOURS}&code=Bleu", (), False, "not in the code system"),
    ("ValueSet/$validate-code?code=red", ({"name": "valueSet", "resource": TWO},), False,
     f"as one of {COLOURS} and urn:other"),
    ("ValueSet/$validate-code?code=blue", ({"name": "valueSet", "resource": TWO},), True, None),
    (f"ValueSet/$validate-code?code=beige&system={COLOURS}", (
        {"name": "valueSet", "resource": value_set(listed(COLOURS, "red", "beige"))},), False,
     "nor in its code system"),
    (f"CodeSystem/$validate-code?url={COLOURS}&version=1&code=blue&display=Navy", (), False, "it is 'Blue'"),
    ("CodeSystem/mine/$validate-code?code=navy", (), True, None),
    ("CodeSystem/$validate-code", ({"name": "coding", "valueCoding": coding("blue")},), True, None),
    ("CodeSystem/$validate-code?code=blue", ({"name": "codeSystem", "resource": SYSTEM},), True, None),
    ("CodeSystem/$validate-code?url=urn:ietf:bcp:47&code=de-CH", (), True, None),
    ("CodeSystem/$validate-code?url=urn:ietf:bcp:47&code=de_CH", (), False, "does not follow the grammar"),
    (f"CodeSystem/$validate-code?url={THO}service-type&code=1", (), True, None),
]  # fmt: skip


@pytest.mark.proves("operation:*/$validate-code")
@sqlite
def test_validate_code(shades: Fhir, subtests: Any) -> None:
    for url, rows, result, text in VALIDATE_CODE_CASES:
        with subtests.test(str((url, rows, result, text))):
            answer = told(shades.post(url, body(*rows)) if rows else shades.get(url))
            assert answer["result"] is result
            assert ("message" in answer) is (not result)
            assert (text or "") in answer.get("message", "")


@sqlite
def test_what_is_to_be_known_of_a_valid_code_is_told(shades: Fhir) -> None:
    """https://hl7.org/fhir/R4/codesystem-operation-validate-code.html: with result = true the message has hints."""
    url = f"CodeSystem/$validate-code?url={COLOURS}&code="
    answer = told(shades.get(f"{url}BLUE"))  # the code system does not say that case counts
    assert (answer["result"], answer["display"]) == (True, "Blue")
    assert "is written blue" in answer["message"]
    old = {"code": "puce", "property": [{"code": "inactive", "valueBoolean": True}]}
    shades.put("CodeSystem/mine", SYSTEM | {"id": "mine", "concept": [*SYSTEM["concept"], old]})
    answer = told(shades.get(f"{url}puce"))
    assert answer["result"] is True
    assert "is inactive" in answer["message"]
    listing = value_set(listed(COLOURS, "puce", "navy"), id="old")
    shades.put("ValueSet/old", listing)
    assert "is inactive" in told(shades.get(f"ValueSet/old/$validate-code?system={COLOURS}&code=puce"))["message"]
    assert "message" not in told(shades.get(f"ValueSet/old/$validate-code?system={COLOURS}&code=navy"))


@sqlite
def test_validate_code_gives_the_display_in_the_language(shades: Fhir) -> None:
    url = f"ValueSet/mine/$validate-code?system={COLOURS}&code=red"
    assert told(shades.get(url))["display"] == "Red"
    assert told(shades.get(f"{url}&displayLanguage=de"))["display"] == "Rot"
    assert told(shades.get(f"{url}&displayLanguage=de-CH"))["display"] == "Rot"  # RFC 4647 §3.4
    assert told(shades.get(f"{url}&displayLanguage=fr"))["display"] == "Red"


OTHER_OPERATIONS_REFUSE_CLEARLY_CASES: list[Any] = [
    (f"ValueSet/$validate-code?url={SHADES}", 400, "invalid", "one of code, coding and codeableConcept; found none"),
    (f"ValueSet/$validate-code?url={R4}body-site&system=http://snomed.info/sct&code=1", 422, "not-supported",
     "without its"),
    (f"ValueSet/all-versions/$validate-code?system={COLOURS}&code=mauve", 422, "processing", "other versions"),
    (f"ValueSet/$validate-code?url={R4}service-type&system={THO}service-type&code=zz", 422, "processing",
     "marked example"),
    (f"ValueSet/$validate-code?url={R4}administrative-gender&system=http://hl7.org/fhir/administrative-gender&code=male"
     "&systemVersion=9", 422, "not-found", "in version 9. Known is 4.0.1"),
    ("CodeSystem/$validate-code?url=http://loinc.org&code=1", 404, "not-found", "http://loinc.org is not known"),
    (f"CodeSystem/$validate-code?url={COLOURS}&version=2&code=red", 404, "not-found", "in version 2. Known is 1"),
    ("CodeSystem/$validate-code?url=http://snomed.info/sct&code=1", 422, "not-supported", "without its content"),
    ("CodeSystem/$validate-code?code=1", 400, "invalid", "needs url or codeSystem"),
    ("CodeSystem/none/$validate-code?code=1", 404, "not-found", "CodeSystem/none"),
    ("CodeSystem/$lookup?code=red", 400, "invalid", "needs the system"),
    (f"CodeSystem/$lookup?system={COLOURS}&code=ochre", 404, "not-found", "ochre is not in the code system"),
    ("CodeSystem/$lookup?system=http://loinc.org&code=1", 404, "not-found", "is not known"),
    ("CodeSystem/$lookup?system=http://snomed.info/sct&code=1", 422, "not-supported", "Load a CodeSystem"),
    ("CodeSystem/$lookup?system=http://hl7.org/fhir/CodeSystem/example-supplement&code=chol", 422, "processing",
     "is a supplement of"),
    (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red", 400, "invalid", "needs codeB"),
    (f"CodeSystem/$subsumes?system={COLOURS}&codeA=red&codeB=ochre", 404, "not-found", "ochre"),
    ("CodeSystem/$subsumes?codeA=red&codeB=blue", 400, "invalid", "one code system"),
    ("ConceptMap/$translate?code=red", 400, "invalid", "needs the system"),
    ("ConceptMap/$translate?url=http://example.org/none&code=red", 404, "not-found", "is not known"),
    ("ConceptMap/$translate?url=http://example.org/map&conceptMapVersion=7&code=red", 404, "not-found", "in version 7"),
]  # fmt: skip


@sqlite
def test_other_operations_refuse_clearly(shades: Fhir, subtests: Any) -> None:
    shades.put("ValueSet/all-versions", value_set({"system": COLOURS, "version": "*"}, id="all-versions"))
    for url, status, code, text in OTHER_OPERATIONS_REFUSE_CLEARLY_CASES:
        with subtests.test(str((url, status, code, text))):
            shades.get(url).refused(status, code, text=text)
