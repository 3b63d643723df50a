"""Slices of slices, named a/b: https://hl7.org/fhir/R4/profiling.html#reslicing"""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import patient
from tests.packages import element, profile, slicing
from tests.unit.fhir.profiled import told

RESLICED = profile(
    "resliced", "Patient",
    element("Patient.identifier", slicing=slicing(("value", "system"))),
    element("Patient.identifier:a", sliceName="a", slicing=slicing(("value", "use"), rules="closed", ordered=True)),
    element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
    element("Patient.identifier:a/x", sliceName="a/x", min=1, max="1"),
    element("Patient.identifier:a/x.use", min=1, fixedCode="usual"),
    element("Patient.identifier:a/y", sliceName="a/y", slicing=slicing(("exists", "period"))),
    element("Patient.identifier:a/y.use", min=1, fixedCode="old"),
    element("Patient.identifier:a/y/z", sliceName="a/y/z", max="1"),
    element("Patient.identifier:a/y/z.use", min=1, fixedCode="old"),
    element("Patient.identifier:a/y/z.period", min=1, max="1"),
)  # fmt: skip
ENDED = {"system": "urn:a", "use": "old", "period": {"end": "2020"}}


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([], []), (["usual", "old", "old"], []), (["old"], [("error", "required", "Patient.identifier")]),
        (["usual", "usual"], [("error", "structure", "Patient.identifier")]),
        (["usual", "temp"], [("error", "structure", "Patient.identifier[1]")]),
        (["old", "usual"], [("error", "structure", "Patient.identifier[1]")]),
        (["usual", ENDED], []), (["usual", ENDED, "old", ENDED], [("error", "structure", "Patient.identifier")]),
    ],
)  # fmt: skip
def test_slices_of_slices_have_numbers_an_order_and_an_end_too(uses: list[Any], expected: list[Any]) -> None:
    rows = [one if isinstance(one, dict) else {"system": "urn:a", "use": one} for one in uses]
    assert told(patient(identifier=[*rows, {"system": "urn:b", "use": "temp"}]), RESLICED) == expected
