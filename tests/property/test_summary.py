"""What people read of a summary can be made of any resource, and is XHTML whatever stands in it."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.fhir.texts import narrative as text_of
from hie.fhir.validation.narrative import problem
from hie.operations.patient_summary import narrative, words
from hie.operations.patient_summary.sections import SECTIONS
from tests.property.test_xml_format import objects

TYPES = sorted({source.type for section in SECTIONS for source in section.sources} | {"Medication", "Device"})


@examples(max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(TYPES).flatmap(lambda name: objects(name, 2).map(lambda value: {"resourceType": name, **value})))
def test_any_resource_can_be_told_to_people(resource: dict[str, Any]) -> None:
    row = [words.what(resource, lambda *_: ""), words.when(resource), words.details(resource, lambda *_: ""),
           words.name_of(resource)]  # fmt: skip
    assert all(isinstance(cell, str) for cell in row)
    made = narrative.narrative(narrative.table(("What", "When", "Details", "Name"), [row]))
    assert problem(made["div"]) is None


@examples(max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(objects("Patient", 2))
def test_any_patient_can_be_named(patient: dict[str, Any]) -> None:
    assert words.person({"resourceType": "Patient", **patient})


@examples(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.text(max_size=narrative.LONGEST))
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    made = narrative.narrative(narrative.paragraphs([f"x{text}x"]))
    assert problem(made["div"]) is None
    known = "".join(one if one.isprintable() else " " for one in f"x{text}x")
    read = "".join(one if one.isprintable() else " " for one in text_of({"text": made}))
    assert "".join(known.split()).replace("\ufffd", "") == "".join(read.split()).replace("\ufffd", "")
