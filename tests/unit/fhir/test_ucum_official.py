"""Every unit of UCUM's own table, with each prefix that it takes, is a unit; most convert."""

from __future__ import annotations

from hie.fhir import ucum
from tests.official_cases import cases, manifest

UCUM = "{http://unitsofmeasure.org/ucum-essence}"


def test_every_unit_of_the_official_table_is_known() -> None:
    root = manifest(cases("ucum", "ucum-essence.xml"))
    prefixes = [one.attrib["Code"] for one in root.iter(UCUM + "prefix")]
    codes = [one.attrib["Code"] for one in root.iter(UCUM + "base-unit")]
    codes += [prefix + one.attrib["Code"] for one in root.iter(UCUM + "unit")
              for prefix in ("", *(prefixes if one.attrib["isMetric"] == "yes" else ()))]
    assert [code for code in codes if not ucum.is_unit(code)] == []
    assert len(codes) > 2_000
    assert sum(ucum.unit(code) is not None for code in codes) / len(codes) > 0.8
