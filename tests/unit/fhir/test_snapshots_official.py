"""HL7's cases of snapshots, as R4B has them, over R4.

Bindings and invariants are compared where a differential speaks of them, and types where one is left: in what profiles
leave alone R4B differs from R4. docs/adr/0024-snapshots.md gives the reason for each that comes out otherwise.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hie.fhir.snapshots import SnapshotError, generated
from hie.fhir.validation import validate
from hie.fhir.xml_format.tables import XmlError
from tests.official_cases import cases, manifest, resource_of
from tests.unit.fhir.test_snapshots import Known

Json = dict[str, Any]

DIFFERENT = {
    "t13", "t15", "t16", "t31", "au2", "logical1", "logical2", "obs-2-2", "pattern-ext-2", "pat-choice-ms",
    "medstmt-nsw", "ca-patient", "ext-sort-issue", "sushi2", "nl-med", "telus-oo", "pat-xver-extension", "org2a",
    "simplifier-1", "ccda-problem-section", "eob-nested", "slice23", "choice_min_1",
}  # fmt: skip

_VALUES = ("fixed", "pattern", "minValue", "maxValue")


def test_the_official_snapshots_are_made_but_for_what_the_documentation_names() -> None:
    folder = cases("r4b", "snapshot-generation")
    known: dict[str, Json] = {}
    failed, count = {}, 0
    for case in manifest(folder / "manifest.xml"):
        if case.tag != "test":
            continue
        count += 1
        why = _failure(case, folder, known)
        if why is not None:
            failed[case.attrib["id"]] = why
    assert failed.keys() == DIFFERENT, failed
    assert count == 113


def _read(folder: Path, name: str, kinds: Iterable[str] = ("-input", "")) -> Json | None:
    files = (folder / f"{name}{kind}{suffix}" for kind in kinds for suffix in (".json", ".xml"))
    return next((resource_of(one.read_bytes()) for one in files if one.exists()), None)


def _failure(case: ElementTree.Element, folder: Path, known: dict[str, Json]) -> object:
    """Say how what is made differs; what a case registers is known to those behind it, as are the cases themselves."""
    try:
        definition = _read(folder, case.attrib["id"]) or {}
    except XmlError as error:
        return str(error)
    for name in f"{case.get('register', '')},{case.get('include', '')}".split(","):
        other = _read(folder, name.strip(), ("", "-input")) if name.strip() else None
        known |= {} if other is None else {other["url"]: other}
    others = list(known.values())
    known[definition["url"]] = definition
    try:
        made = generated(definition, Known(others))
    except SnapshotError as error:
        return None if case.get("fail") == "true" else str(error)
    if case.get("fail") == "true":
        refused = [one for one in validate(definition, "StructureDefinition") if one.severity == "error"]
        return None if refused else "not refused"
    wanted = _read(folder, case.attrib["id"], ("-expected", "-output")) or {}
    spoken = {(one["path"], name) for each in (definition, *others)
              for one in each.get("differential", {}).get("element", ()) for name in one}
    made_rows, wanted_rows = ([_compared(one, spoken) for one in each.get("snapshot", {}).get("element", [])]
                              for each in (made, wanted))
    return None if made_rows == wanted_rows or not wanted_rows else _first(made_rows, wanted_rows)


def _compared(element: Json, spoken: set[tuple[str, str]]) -> Json:
    found = {name: element.get(name) for name in ("id", "path", "min", "max", "sliceName")}
    found |= {name: one for name, one in element.items() if name.startswith(_VALUES)}
    found["mustSupport"] = element.get("mustSupport", False)
    found["slicing"] = [element.get("slicing", {}).get(name) for name in ("discriminator", "rules")]
    types = [(one.get("code"), one.get("profile")) for one in element.get("type", [])]
    found["type"] = types if len(types) == 1 else "several"
    if (element["path"], "binding") in spoken:
        bound = element.get("binding", {})
        found["binding"] = (bound.get("strength"), str(bound.get("valueSet")).partition("|")[0])
    if (element["path"], "constraint") in spoken:
        found["constraint"] = {one["key"] for one in element.get("constraint", [])} - {"ele-1", "ext-1", "dom-r4b"}
    return found


def _first(made: list[Json], wanted: list[Json]) -> object:
    """Return the ids that only one of them has, or the first element that differs, as both have it."""
    ids = {one["id"] for one in made} ^ {one["id"] for one in wanted}
    return ids or next((one, other) for one, other in zip(made, wanted, strict=True) if one != other)
