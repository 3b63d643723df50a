"""The example resources of published packages conform to the profiles they are examples of, but for those named here.

docs/validation.md gives the reason for each. An example is asked of the profiles it declares, and of the one that the
package's ImplementationGuide says it is an example of.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import json_format
from hie.fhir.profiles import Library, conformance, read
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.validation import validate

PACKAGES = {
    "us.core-3.1.1": (84, {"DiagnosticReport/cardiology-report", "Observation/satO2-fiO2"}),
    "us.core-5.0.1": (157, set()),
    "us.core-6.1.0": (183, set()),
    "us.core-7.0.0": (214, set()),
    "us.core-8.0.0": (228, set()),
    "uv.ips-1.1.0": (40, {"Observation/ips-example-imaging-1"}),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_examples_of_a_package_conform(name: str, shared_data: Path) -> None:
    file = shared_data / "definitions" / f"hl7.fhir.{name}.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    count, different = PACKAGES[name]
    library = Library([read(file.read_bytes())])
    asked = asked_by(library)
    examples, profiles = _contents(file)
    failed = {}
    for resource in examples:
        address = f"{resource['resourceType']}/{resource.get('id')}"
        wanted = [one for one in profiles.get(address, ()) if library.find(one)]
        issues = [*validate(resource), *conformance(resource, wanted, library, asked)]
        wrong = [one for one in issues if one.severity in ("error", "fatal")]
        if wrong:
            failed[address] = wrong
    assert failed.keys() == different, failed
    assert len(examples) == count


def test_what_r4_says_of_its_own_resources_they_may_say(shared_data: Path) -> None:
    """Every StructureDefinition has an extension of R4 where R4's definition of it does not have it."""
    file = shared_data / "definitions" / "hl7.fhir.r4.core-4.0.1.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    library = Library([read(file.read_bytes())])
    asked, wanted = asked_by(library), {"StructureDefinition-Patient.json", "ValueSet-administrative-gender.json",
                                        "StructureDefinition-id.json", "CodeSystem-administrative-gender.json"}
    with tarfile.open(file) as archive:
        for name in sorted(wanted):
            reader = archive.extractfile(f"package/{name}")
            assert reader is not None
            resource = json_format.parse(reader.read())
            found = conformance(resource, (), library, asked)
            assert [one for one in found if one.severity == "error"] == [], name


def _contents(file: Path) -> tuple[list[Any], dict[str, list[str]]]:
    examples, profiles = [], {}
    with tarfile.open(file) as archive:
        for member in archive:
            is_guide = member.name.startswith("package/ImplementationGuide")
            if not is_guide and not (member.name.startswith("package/example/") and member.name.endswith(".json")):
                continue
            reader = archive.extractfile(member)
            assert reader is not None
            found = json_format.parse(reader.read())
            if is_guide:
                for row in found["definition"]["resource"]:
                    if "exampleCanonical" in row:
                        profiles[row["reference"]["reference"]] = [row["exampleCanonical"]]
            elif "resourceType" in found:
                examples.append(found)
    return examples, profiles
