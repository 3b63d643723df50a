"""The official examples, judged; docs/validation.md says why each is refused: https://hl7.org/fhir/R4/downloads.html"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import json_format
from hie.fhir.validation import Issue, validate

SHARED = Path(os.environ.get("HIE_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
EXAMPLES = SHARED / "definitions" / "r4-examples.tar.xz"
GUIDES = sorted((SHARED / "definitions").glob("hl7.fhir.u*.tgz"))
SYNTHEA = SHARED / "synthea-bundles" / "synthea-120.tar.xz"

# file without its folder: where and why it is truly invalid, the two large groups apart.
REFUSED = {
    "activitydefinition-servicerequest-example.json": ("ActivityDefinition.text.div", "txt-2"),
    "activitydefinition-supplyrequest-example.json": ("ActivityDefinition.text.div", "txt-2"),
    "questionnaire-zika-virus-exposure-assessment.json": ("Questionnaire.text.div", "txt-2"),
    "eventdefinition-example.json": ("EventDefinition.text.div", "txt-2"),
    "medicationrequest0301.json": ("MedicationRequest.dispenseRequest.performer.reference", "points at Practitioner"),
    "devicemetric-example.json": ("DeviceMetric.parent.reference", "points at DeviceDefinition"),
    "observation-example-clinical-gender.json": ("Observation.performer[0].reference", "points at Encounter"),
    "deviceusestatement-example.json": ("DeviceUseStatement.reasonReference[0].reference", "points at Procedure"),
    "questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": ("SearchParameter.id", "is no id"),
    "immunizationevaluation-questionnaire.json": ("Questionnaire", "que-2"),
    "definition.json": ("StructureDefinition", "sdf-4"),
    "event.json": ("StructureDefinition", "sdf-4"),
    "fivews.json": ("StructureDefinition", "sdf-4"),
    "request.json": ("StructureDefinition", "sdf-4"),
}


def archived(path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                yield member.name, json_format.parse(file.read())


def errors(resource: Any) -> list[Issue]:
    return [one for one in validate(resource) if one.severity in ("error", "fatal")]


@pytest.mark.skipif(not EXAMPLES.exists(), reason=f"the official examples are not at {EXAMPLES}")
def test_the_official_examples_are_accepted_unless_truly_invalid() -> None:
    judged, groups, refused = 0, Counter[str](), {}
    for name, resource in archived(EXAMPLES):
        if "resourceType" not in resource:
            continue
        judged += 1
        found = errors(resource)
        if any(one.code == "required" and one.expression.endswith(".linkId") for one in found):
            groups["linkId"] += 1
        elif found and [one.expression for one in found] == ["SearchParameter.base"]:
            groups["base"] += 1
        elif found:
            refused[name.rpartition("/")[2]] = found
    assert judged == 2904
    assert groups == {"linkId": 187, "base": 10}
    assert {name: found[0].expression for name, found in refused.items()} == {
        name: expression for name, (expression, _) in REFUSED.items()}
    for name, found in refused.items():
        assert REFUSED[name][1] in found[0].diagnostics, name


@pytest.mark.skipif(not GUIDES, reason="the US Core and IPS packages are not in the shared data")
@pytest.mark.parametrize("package", GUIDES, ids=lambda path: path.name)
def test_the_examples_of_the_guides_are_valid_r4(package: Path) -> None:
    refused = {}
    for name, resource in archived(package):
        if name.startswith("package/example/") and "resourceType" in resource and (found := errors(resource)):
            refused[name.rpartition("/")[2]] = [one.expression for one in found]
    # Its hash is EQH/..AgME, which is no base64.
    refused.pop("DiagnosticReport-cardiology-report.json", None)
    assert refused == {}


@pytest.mark.skipif(not SYNTHEA.exists(), reason=f"the Synthea Bundles are not at {SYNTHEA}")
def test_synthea_bundles_are_valid() -> None:
    for name, resource in islice(archived(SYNTHEA), 4):
        assert errors(resource) == [], name
