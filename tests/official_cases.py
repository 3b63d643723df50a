"""HL7's own test cases, where they are at hand: https://github.com/FHIR/fhir-test-cases

FHIR_TEST_CASES, or fhir-test-cases/ in the shared data, names the folder that holds r4/, r4b/, r5/ and validator/.
Nothing of them is kept here.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import json_format, xml_format

Json = dict[str, Any]

FHIR = "{http://hl7.org/fhir}"
_SHARED = Path(os.environ.get("HIE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def cases(*parts: str) -> Path:
    """Return a folder or file of the test cases; the test is skipped where they are absent."""
    root = Path(os.environ.get("FHIR_TEST_CASES", _SHARED / "fhir-test-cases"))
    found = root.joinpath(*parts)
    if not found.exists():
        named = "/".join(parts)
        pytest.skip(f"needs {named} of FHIR/fhir-test-cases (FHIR_TEST_CASES, or fhir-test-cases/ in HIE_TEST_DATA)")
    return found


def manifest(file: Path) -> ElementTree.Element:
    """Read a list of cases."""
    return ElementTree.parse(file).getroot()  # noqa: S314 - HL7's own file


def within(element: ElementTree.Element) -> Json:
    """Return the resource inside an element of a list of cases."""
    ElementTree.register_namespace("", FHIR[1:-1])
    (content,) = element
    content.tail = None
    return resource_of(ElementTree.tostring(content))


def resource_of(content: bytes) -> Json:
    """Read a resource, JSON or XML."""
    parse = json_format.parse if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else xml_format.parse
    return dict(parse(content.removeprefix(b"\xef\xbb\xbf")))
