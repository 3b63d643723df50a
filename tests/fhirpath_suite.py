"""The official FHIRPath suite of FHIR/fhir-test-cases, read and judged: https://github.com/FHIR/fhir-test-cases

A folder, r4/ of the cases, holds fhirpath/tests-fhir-r4.xml and the example resources it names. XML resources are
turned into JSON by what the compiler knows of R4's elements. Numbers compare by value, everything else as text with its
type.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hie.fhir import fhirpath, json_format
from hie.fhir.fhirpath import model

FHIR = "{http://hl7.org/fhir}"
XHTML = "{http://www.w3.org/1999/xhtml}"


@dataclass(frozen=True)
class Case:
    """One test: what is asked of which resource, and what is to come out."""

    group: str
    name: str
    expression: str
    file: str | None
    invalid: str | None
    """`syntax`, `semantic` or `execution`: the expression must be refused."""
    predicate: bool
    outputs: tuple[tuple[str | None, str], ...]


def read_cases(folder: Path) -> list[Case]:
    """Read every test of the suite."""
    root = ElementTree.parse(folder / "fhirpath" / "tests-fhir-r4.xml").getroot()  # noqa: S314 - HL7's own file
    return [_case(group.get("name", ""), test) for group in root.iter("group") for test in group.iter("test")]


def _case(group: str, test: ElementTree.Element) -> Case:
    expression = test.find("expression")
    assert expression is not None
    return Case(
        group,
        test.get("name", ""),
        expression.text or "",
        test.get("inputfile"),
        expression.get("invalid"),
        test.get("predicate") == "true",
        tuple((output.get("type"), output.text or "") for output in test.findall("output")),
    )


def failure(case: Case, folder: Path) -> str | None:
    """Say how the engine's answer differs from the suite's; None if it is right.

    A test that wants an expression refused for its meaning is compiled with the check of names and types.
    """
    resource = read_resource(folder / case.file) if case.file else None
    try:
        found = _answers(case, resource)
    except fhirpath.FhirPathError as error:
        return None if case.invalid else f"refused: {error}"
    if case.invalid and not case.outputs:
        return f"not refused, gave {found}"
    if len(found) != len(case.outputs):
        return f"gave {found}"
    wrong = [
        one for one, (kind, text) in zip(found, case.outputs, strict=True) if not _same(one, kind, text)
    ]
    return f"gave {found}" if wrong else None


def _answers(case: Case, resource: Any) -> list[tuple[str, Any]]:
    type_name = resource["resourceType"] if resource else "Resource"
    strict = bool(case.invalid) and not case.outputs
    compiled = fhirpath.compile(case.expression, type_name, strict=strict)
    if case.predicate:
        return [("boolean", compiled.holds(resource))]
    focus = resource if resource is not None else {}
    return [(item.type.removeprefix("System."), item.value) for item in compiled.items(focus)]


def _same(found: tuple[str, Any], kind: str | None, text: str) -> bool:
    type_name, value = found
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if isinstance(value, int | Decimal):
        number = text.partition(" ")[0]
        return Decimal(value) == Decimal(number) and (kind != "integer" or isinstance(value, int))
    if isinstance(value, fhirpath.Moment):
        return value.text == text.lstrip("@").removeprefix("T")
    if isinstance(value, fhirpath.Amount):
        number, _, unit = text.partition(" ")
        return value.value == Decimal(number) and value.unit == unit.strip("'")
    if kind in ("date", "dateTime", "time", "instant"):
        return bool(value == text.lstrip("@").removeprefix("T"))
    if isinstance(value, str):
        return value == text and (kind in (None, type_name) or (kind == "string" and type_name in _TEXTS))
    return kind == type_name or (kind is None and text == "")


_TEXTS = {"String", "string", "code", "id", "uri", "markdown", "xhtml"}


# ---- XML resources ---------------------------------------------------------------------------------------------------


@cache
def read_resource(path: Path) -> Any:
    """Read a resource, JSON or XML."""
    if path.suffix == ".json":
        return json_format.parse(path.read_bytes())
    return _resource(ElementTree.parse(path).getroot())  # noqa: S314 - HL7's own file


def _resource(element: ElementTree.Element) -> dict[str, Any]:
    name = element.tag.removeprefix(FHIR)
    return {"resourceType": name, **_content(element, name)}


def _content(element: ElementTree.Element, type_name: str) -> dict[str, Any]:
    properties = {
        property_: (child, kind)
        for child in model.children(type_name).values()
        for property_, kind in child.forms
    }
    found: dict[str, Any] = {name: value for name, value in element.attrib.items() if name in ("id", "url")}
    for one in element:
        if one.tag.startswith(XHTML):
            found["div"] = ElementTree.tostring(one, encoding="unicode").replace("html:", "").replace(":html", "")
            continue
        name = one.tag.removeprefix(FHIR)
        child, kind = properties[name]
        for property_, value in _values(one, name, kind):
            if child.is_list and property_ == name:
                found.setdefault(name, []).append(value)
            elif child.is_list:
                found.setdefault(property_, []).append(value)
            else:
                found[property_] = value
    return found


def _values(element: ElementTree.Element, name: str, kind: str) -> list[tuple[str, Any]]:
    if kind in ("Resource", "DomainResource"):
        return [(name, _resource(element[0]))]
    if not model.is_primitive(kind):
        return [(name, _content(element, kind))]
    values: list[tuple[str, Any]] = []
    if "value" in element.attrib:
        values.append((name, _primitive(element.attrib["value"], kind)))
    extra = _content(element, kind)
    if extra:
        values.append(("_" + name, extra))
    return values


def _primitive(text: str, kind: str) -> Any:
    if kind == "boolean":
        return text == "true"
    if kind in ("integer", "positiveInt", "unsignedInt"):
        return int(text)
    return Decimal(text) if kind == "decimal" else text
