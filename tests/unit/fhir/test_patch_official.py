"""HL7's cases of FHIRPath Patch, JSON Patch and XML Patch; docs/api/patch.md says why some come out otherwise."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from copy import deepcopy
from typing import Any

import pytest

from hie.errors import FhirError
from hie.fhir import patching
from hie.fhir.patching import bounds, xml_form, xml_patch
from hie.fhir.patching.difference import difference
from hie.fhir.patching.xml_form import XmlForm
from hie.fhir.patching.xml_nodes import written
from hie.fhir.xml_format.tables import XmlError
from tests.official_cases import cases, manifest, within

NO_FHIR = {"r4": set[str](), "r4b": set[str](), "r5": {"Add extension"}}
DIFFERENT_JSON = {"A.10.  Adding a nested Member Object"}
DIFFERENT_XML = {
    "Missing patch operation", "A.8.  Replacing a Namespace Declaration URI",
    "A.10.  Replacing a Processing Instruction Node", "A.14.  Removing a Prefixed Namespace Declaration",
    "A.16.  Removing a Processing Instruction Node",
}  # fmt: skip


@pytest.mark.parametrize(("version", "count"), [("r4", 33), ("r4b", 32), ("r5", 34)])
def test_fhirpath_patches_do_what_the_official_cases_say_and_differences_lead_there(version: str, count: int) -> None:
    rows = list(manifest(cases(version, "patch", "fhir-patch-tests.xml")).iter("case"))
    failed = {row.attrib["name"]: why for row in rows if (why := _failure(row)) is not None}
    assert failed.keys() == NO_FHIR[version], failed
    assert len(rows) == count


def _failure(case: ElementTree.Element) -> object:
    try:
        before, change, after = (None if (part := case.find(name)) is None else within(part)
                                 for name in ("input", "diff", "output"))
    except XmlError as error:
        return str(error)
    assert before is not None
    patch = patching.parse(patching.FHIR_JSON, change)
    if after is None:
        with pytest.raises(FhirError):
            patch.applied(deepcopy(before))
        return None
    found = patching.parse(patching.FHIR_JSON, difference(before, after)).applied(deepcopy(before))
    return None if patch.applied(deepcopy(before)) == after == found else "another resource"


def test_json_patches_do_what_the_official_cases_say() -> None:
    rows = json.loads(cases("r4", "patch", "json-patch-tests.json").read_bytes())
    failed = {row["comment"] for row in rows if not _as_said(row)}
    assert failed == DIFFERENT_JSON
    assert len(rows) == 16


def _as_said(row: dict[str, Any]) -> bool:
    patch = patching.parse(patching.JSON_PATCH, row["patch"])
    if "error" not in row:
        return bool(patch.applied(row["doc"]) == row["expected"])
    with pytest.raises(FhirError):
        patch.applied(row["doc"])
    return True


def test_xml_patches_do_what_the_official_cases_say() -> None:
    """Their documents are no resources, and their prefix f is declared nowhere."""
    text = cases("r4", "patch", "xml-patch-tests.xml").read_text()
    rows = re.findall(r'<case name="(.*?)">(.*?)</case>', text, re.S)
    failed = {name for name, case in rows if not _is_patched(case)}
    assert failed == DIFFERENT_XML
    assert len(rows) == 33


def _is_patched(case: str) -> bool:
    (_, target), (declared, patch) = _inside(case, "target"), _inside(case, "patch")
    prefix = "" if "xmlns:f=" in declared else ' xmlns:f="http://hl7.org/fhir"'
    document = patching.read(patching.XML_PATCH, f"<diff{declared}{prefix}>{patch}</diff>".encode())
    try:
        form = XmlForm(xml_form._tree(target.encode()), bounds.watched(None), {}, "hidden", {})
        for one in xml_patch.parse(document).operations:
            xml_patch._DO[one.op](form, one, xml_patch._located(form, one))
    except (xml_patch.Misfit, XmlError):
        return "<error" in case
    if "<error" in case:
        return False
    found, wanted = (ElementTree.canonicalize(one, strip_text=True, with_comments=True)
                     for one in (written(form.root, "hidden").decode(), _inside(case, "patched")[1]))
    return found == wanted


def _inside(case: str, name: str) -> tuple[str, str]:
    found = re.search(rf"<{name}\b([^>]*)>(.*)</{name}>", case, re.S)
    assert found is not None
    return found[1], found[2].strip()
