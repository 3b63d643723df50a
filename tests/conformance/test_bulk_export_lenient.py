"""What an export leaves out, refuses or takes as less: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters"""

import time

import pytest

from tests.builders import observation, patient
from tests.conformance.later import LATER
from tests.conformance.test_bulk_export import PROVENANCE, exported, ids, kicked_off, lines, manifest

LENIENT = {"Prefer": "respond-async, handling=lenient"}
BOTH = "LatestProvenanceResources,RelevantProvenanceResources"

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def test_types_that_a_token_may_not_read_are_told_of(fhir, client, do_due):
    one = fhir.create(patient())["id"]
    some = client("system/Patient.rs system/Group.r")
    told = manifest(some, do_due, "$export?_type=Patient,Observation,Group", **LENIENT)
    assert [row["id"] for file in told["output"] for row in lines(some, file)] == [one]
    (file,) = told["error"]
    issues = [row["issue"][0] for row in lines(some, file)]
    assert [(one["code"], one["severity"], one["expression"]) for one in issues] == [
        ("forbidden", "warning", ["_type"])] * 2  # fmt: skip
    assert ["Group" in issues[0]["diagnostics"], "Observation" in issues[1]["diagnostics"]] == [True, True]


def test_of_two_sets_of_provenance_the_larger_one_comes(fhir, do_due):
    pulse = fhir.create(observation(f"Patient/{fhir.create(patient())['id']}"))["id"]
    target = {"target": [{"reference": f"Observation/{pulse}"}]}
    both = sorted(fhir.create(PROVENANCE | target | {"recorded": f"{year}-01-01T00:00:00Z"})["id"]
                  for year in (2020, 2023))  # fmt: skip
    found = ids(exported(fhir, do_due, f"$export?_type=Observation&includeAssociatedData={BOTH}"))
    assert found == {"Observation": [pulse], "Provenance": both}


def test_a_summary_of_files_is_refused_or_left_out(fhir, do_due):
    fhir.create(patient())
    fhir.get("$export?_summary=true", **LATER).refused(400, "not-supported", "_summary")
    found = exported(fhir, do_due, "$export?_summary=true", "error", **LENIENT)
    assert "_summary" in found["OperationOutcome"][0]["issue"][0]["diagnostics"]


def test_many_parameters_are_left_out_in_little_time(fhir, do_due):
    rows = [{"name": name, "valueString": f"Patient{number}"} for number in range(10_000) for name in ("_typ", "_type")]
    body = {"resourceType": "Parameters", "parameter": rows}
    began = time.process_time()
    fhir.post("$export", body, **LENIENT).refused(400, "invalid", "_type")
    assert time.process_time() - began < 5
    body["parameter"] = [{"name": f"{number}", "valueString": "x"} for number in range(1_000)]
    told = exported(fhir, do_due, "$export", "error", method="POST", body=body, **LENIENT)["OperationOutcome"]
    assert len(told) == 100


def test_what_is_no_parameter_is_refused_however_lenient(fhir):
    for row, code in (({"name": 5, "valueString": "x"}, "structure"), ({"valueString": "x"}, "required")):
        fhir.post("$export", {"resourceType": "Parameters", "parameter": [row]}, **LENIENT).refused(400, code)
    assert kicked_off(fhir, "$export", **LENIENT)
