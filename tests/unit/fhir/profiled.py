"""What is told of a resource by profiles that stand in one package with their codes."""

from __future__ import annotations

from hie.fhir.profiles import Library, Package, conformance
from hie.fhir.profiles.terminology import asked_by
from tests.packages import BASE, Json, element, profile

LOINC = "http://loinc.org"
COLOURS = "http://example.org/colours"
CODES: Json = {
    "resourceType": "CodeSystem", "url": COLOURS, "status": "active", "content": "complete",
    "concept": [{"code": "red"}, {"code": "green"}],
}  # fmt: skip
COLOURED: Json = {
    "resourceType": "ValueSet", "url": COLOURS + "/vs", "status": "active",
    "compose": {"include": [{"system": COLOURS}]},
}  # fmt: skip
UNKNOWN: Json = {
    "resourceType": "ValueSet", "url": "http://example.org/snomed", "status": "active",
    "compose": {"include": [{"system": "http://snomed.info/sct",
                             "filter": [{"property": "concept", "op": "is-a", "value": "1"}]}]},
}  # fmt: skip


def coding(code: str, system: str = LOINC) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def told(resource: Json, *definitions: Json, support: bool = False) -> list[tuple[str, str, str]]:
    """Validate against the first definition; give severity, code and expression of every issue."""
    package = Package("example", "1.0.0", resources=(*definitions, CODES, COLOURED, UNKNOWN), digest="x")
    library = Library([package])
    found = conformance(resource, [definitions[0]["url"]], library, asked_by(library), with_support=support)
    return [(one.severity, one.code, one.expression) for one in found]


RACE = profile(
    "race", "Extension",
    element("Extension.url", min=1, max="1", fixedUri=BASE + "race"),
    element("Extension.value[x]", min=1, max="1", types="string"),
    context=[{"type": "element", "expression": "Patient"}],
)  # fmt: skip
NAMED = profile("named", "Patient", element("Patient.name", min=1))
ABOUT = profile("about", "Observation", element("Observation.subject", min=1, max="1", type=[
    {"code": "Reference", "targetProfile": [BASE + "named"]}]))  # fmt: skip


def bundle(*resources: Json) -> Json:
    rows = [{"fullUrl": f"urn:uuid:{at}", "resource": one} for at, one in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": rows}
