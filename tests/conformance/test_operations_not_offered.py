"""What of R4's operations is not offered, and where those that are can be called: https://hl7.org/fhir/R4/operations.html"""

from pathlib import Path

import pytest

from hie.fhir import facts, not_offered
from hie.registry import built_in

PAGE = Path(__file__).parents[2] / "docs" / "api" / "operations.md"
#: R4's example of an OperationDefinition is none of its operations.
EXAMPLE = "populate@Questionnaire"


def test_every_operation_of_r4_is_offered_or_told_why_not():
    offered = {url.rpartition("/")[2] for one in built_in().operations for url in one.canonicals}
    lacking = {key for key, row in facts.OPERATIONS.items()
               if row["url"].rpartition("/")[2] not in offered and key != EXAMPLE}
    told = not_offered.codes()
    assert {key for key in lacking if not {key, key.partition("@")[0]} & told} == set()
    assert {one for one in told if not any(one in (key, key.partition("@")[0]) for key in lacking)} == set()
    page = PAGE.read_text(encoding="utf-8").partition("## Operations of R4 that are not offered")[2]
    assert {one for one in told if f"`${one.partition('@')[0]}`" not in page} == set()


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("address", "code", "text"), [
    ("StructureMap/$transform", "not-supported", "ConceptMap/$translate"),
    ("$process-message", "not-supported", "POST [base]"),
    ("Measure/1/$evaluate-measure", "not-supported", "Clinical Quality Language"),
    ("MedicinalProduct/1/$everything", "not-supported", "_revinclude=*"),
    ("Encounter/$everything", "not-found", "one of Encounter/[id]."),
    ("Group/$everything", "not-found", "one of Group/[id]."),
    ("$everything", "not-found", "one of Encounter/[id], Group/[id], Patient, Patient/[id]."),
    ("$validate", "not-found", "one of [type], [type]/[id]."),
    ("Patient/$graph?graph=x", "not-found", "one of [type]/[id]."),
    ("Patient/1/$convert", "not-found", "one of the system."),
    ("Patient/1/_history/1/$meta-add", "not-found", "one of [type]/[id]."),
    ("Observation/1/$lastn", "not-found", "one of Observation."),
])  # fmt: skip
def test_an_operation_that_is_not_there_is_told_with_what_is(fhir, address, code, text):
    for method in ("GET", "POST"):
        fhir(method, address).refused(404, code, "http.url", text)
