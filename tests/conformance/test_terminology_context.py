"""The context of a value set: an element of R4 or of a profile, as that binds it.

https://hl7.org/fhir/R4/valueset-operation-expand.html, https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.conftest import Fhir
from tests.packages import BASE, element, profile
from tests.terminologies import COLOURS, SHADES, code_system, codes, told, value_set

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
R4_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
TWICE = "http://example.org/twice"


def asked(context: str, operation: str = "expand", **more: str) -> str:
    rest = "".join(f"&{name}={value}" for name, value in more.items())
    return f"ValueSet/${operation}?context={quote(context)}{rest}"


@pytest.fixture
def bound(shades: Fhir) -> Fhir:
    """A profile, of which a differential is all that is stored, binds two elements otherwise than R4."""
    rows = [element("Patient.gender", binding={"strength": "required", "valueSet": f"{SHADES}|1"}),
            element("Patient.maritalStatus", binding={"strength": "required", "valueSet": TWICE}),
            element("Patient.identifier", sliceName="card", id="Patient.identifier:card"),
            element("Patient.identifier.use", id="Patient.identifier:card.use",
                    binding={"strength": "required", "valueSet": SHADES})]
    rows = [{name: value for name, value in row.items() if name not in ("min", "max")} for row in rows]
    rows[2] |= {"path": "Patient.identifier"}
    made = {name: value for name, value in profile("bound", "Patient").items() if name != "snapshot"}
    sliced = {"id": "Patient.identifier", "path": "Patient.identifier",
              "slicing": {"discriminator": [{"type": "value", "path": "use"}], "rules": "open"}}
    for resource in (
        {**made, "id": "bound", "baseDefinition": f"{R4_PROFILE}Patient",
         "differential": {"element": [rows[0], rows[1], sliced, *rows[2:]]}},
        code_system("http://example.org/other", {"code": "red", "display": "Other red"}, id="other"),
        value_set(COLOURS, "http://example.org/other", url=TWICE, id="twice"),
    ):
        answer = shades.put(f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status == 201, answer.content
    return shades


@pytest.mark.proves("operation:ValueSet/$expand")
def test_a_profile_says_what_its_elements_are_bound_to(bound: Fhir) -> None:
    shades = codes(bound.get("ValueSet/mine/$expand"))
    assert codes(bound.get(asked(f"{BASE}bound#Patient.gender"))) == shades
    assert codes(bound.get(asked(f"{BASE}bound|1.0.0#Patient.gender"))) == shades
    assert codes(bound.get(asked(f"{BASE}bound#Patient.identifier:card.use"))) == shades
    assert codes(bound.get(asked(f"{BASE}bound#Patient.link.type"))) == [
        "replaced-by", "replaces", "refer", "seealso"]
    assert codes(bound.get(asked(f"{R4_PROFILE}Patient#Patient.gender"))) == ["male", "female", "other", "unknown"]
    of_type = codes(bound.get("ValueSet/$expand?context=Identifier.use"))
    for context in ("Patient.identifier.use", f"{BASE}bound#Patient.identifier.use"):
        assert codes(bound.get(asked(context))) == of_type
    assert codes(bound.get(asked(f"{R4_PROFILE}bodyheight#Observation.value[x]:valueQuantity.code"))) == [
        "cm", "[in_i]"]


def test_a_profile_that_is_not_there_is_not_that_of_r4(bound: Fhir, client: Callable[..., Fhir]) -> None:
    bound.get(asked("http://example.org/none#Patient.gender")).refused(404, "not-found", "context", "none is not known")
    bound.get(asked(f"{BASE}bound|2#Patient.gender")).refused(404, "not-found", "context")
    bound.get(asked(f"{BASE}bound#Patient.name")).refused(400, "invalid", "context", "bound to a value set")
    bound.get(asked(f"{R4_PROFILE}Patient#Observation.status")).refused(400, "invalid", "context")
    narrow = client("system/ValueSet.rs", "system/CodeSystem.rs")
    narrow.get(asked(f"{BASE}bound#Patient.gender")).refused(404, "not-found", "context", "bound is not known")


def test_a_code_that_a_context_has_of_two_systems_is_not_guessed(bound: Fhir) -> None:
    context = f"{BASE}bound#Patient.maritalStatus"

    def judged(**more: str) -> dict[str, Any]:
        return told(bound.get(asked(context, "validate-code", **more)))

    answer = judged(code="red")
    assert answer["result"] is False
    assert f"{COLOURS} and http://example.org/other" in answer["message"]
    assert judged(code="red", system=COLOURS) == {"result": True, "display": "Red"}
    assert judged(code="blue") == {"result": True, "display": "Blue"}
    bound.get(asked(context, "validate-code", code="blue", systemVersion="1")).refused(
        400, "invalid", "systemVersion", "system")


def test_the_version_of_a_system_that_nobody_names_is_refused(bound: Fhir) -> None:
    bound.get(f"ValueSet/$validate-code?url={SHADES}&code=red&systemVersion=1").refused(
        400, "invalid", "systemVersion", "system")
