"""Derive the table of units from the Unified Code for Units of Measure: https://ucum.org/ucum

Run by hand, never by the server, on ucum-essence.xml (for example the one in the PyPI wheel ucumvert 0.3.2):

    python -m hie.fhir.generate_ucum ucum-essence.xml
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

FILE = Path(__file__).parent / "data" / "ucum.json"
_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"


def main(arguments: list[str]) -> int:
    """Write the table of units beside the facts."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hie.fhir.generate_ucum ucum-essence.xml\n")
        return 2
    FILE.write_text(table(Path(arguments[0]).read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def table(essence: str) -> str:
    """Turn ucum-essence.xml into JSON: prefix -> value, base units, unit -> [value, unit, flags].

    Flags: m takes prefixes, a is arbitrary (compares with itself alone), s has a scale of its own.
    """
    if re.search(r"<!(DOCTYPE|ENTITY)", essence):
        raise ValueError("ucum-essence.xml declares no entities; this file does.")
    root = ElementTree.fromstring(essence)  # noqa: S314 - a file of our own choice, without entities
    prefixes = {one.attrib["Code"]: _value(one) for one in root.iter(_NAMESPACE + "prefix")}
    bases = [one.attrib["Code"] for one in root.iter(_NAMESPACE + "base-unit")]
    units = {}
    for one in root.iter(_NAMESPACE + "unit"):
        value = one.find(_NAMESPACE + "value")
        assert value is not None  # noqa: S101 - every unit of the essence has one
        flags = "".join(letter for letter, name in (("m", "isMetric"), ("a", "isArbitrary"), ("s", "isSpecial"))
                        if one.attrib.get(name) == "yes")
        special = value.find(_NAMESPACE + "function")
        if special is not None:
            units[one.attrib["Code"]] = ["1", "1", "s"]
        else:
            units[one.attrib["Code"]] = [_value(one), value.attrib["Unit"], flags]
    rows = [f"  {json.dumps(code)}: {json.dumps(row)}" for code, row in sorted(units.items())]
    return (
        '{"prefixes": ' + json.dumps(prefixes) + ',\n"bases": ' + json.dumps(bases) + ',\n"units": {\n'
        + ",\n".join(rows) + "\n}}\n"
    )


def _value(one: ElementTree.Element) -> str:
    value = one.find(_NAMESPACE + "value")
    assert value is not None  # noqa: S101 - every prefix and unit of the essence has one
    return value.attrib.get("value", "1")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
