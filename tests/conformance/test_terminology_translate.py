"""Codes of one system told in another: https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from hie.store import terminology as stored_terminology
from tests.conformance.conftest import Fhir
from tests.terminologies import COLOURS, MAP, R4, SHADES, SYSTEM, body, coding, matches, told

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


TRANSLATE_CASES: list[Any] = [
    ("url=http://example.org/map&code=red", (), True, [("equivalent", "f00")]),
    (f"url=http://example.org/map&system={COLOURS}&code=red", (), True, [("equivalent", "f00")]),
    ("url=http://example.org/map&system=http://loinc.org&code=red", (), False, []),
    (f"system={COLOURS}&code=red&targetsystem=http://example.org/rgb", (), True, [("equivalent", "f00")]),
    (f"system={COLOURS}&code=red&source={quote(SHADES)}", (), True, [("equivalent", "f00")]),
    (f"system={COLOURS}&code=red&source={quote(SHADES)}x", (), False, []),
    *((f"system={COLOURS}&code=red&source={quote(one)}", (), True, [("equivalent", "f00")])
      for one in ("mine", "ValueSet/mine", "http://localhost/fhir/ValueSet/mine")),
    (f"system={COLOURS}&code=red&source=ValueSet/none", (), False, []),
    *((f"url=http://example.org/map&code=f0c&reverse=true&{end}", (), True, [("narrower", "pink")])
      for end in ("target=mine", f"source={R4}x")),  # it reverses the meaning of source and target
    ("url=http://example.org/map&code=f0c&reverse=true&source=mine", (), False, []),
    *((f"url=http://example.org/map&code=red&{end}", (), True, [("equivalent", "f00")])
      for end in ("source=mine", f"target={R4}x")),
    ("url=http://example.org/map&code=red&target=urn:x", (), False, []),
    (f"system={COLOURS}&code=red", (), True, [("equivalent", "f00")]),  # all known translations
    ("system=http://example.org/rgb&code=f00&reverse=true", (), True, [("equivalent", "red")]),
    ("system=http://hl7.org/fhir/administrative-gender&code=male", (), True, [("equal", "M")] * 2),  # v2, v3
    ("system=http://example.org/unheard-of&code=male", (), False, []),
    (f"system={COLOURS}&code=red&targetsystem=http://example.org/hsv", (), False, []),
    ("url=http://example.org/map&code=pink", (), True, [("wider", "f0c")]),
    ("url=http://example.org/map&code=pink", ({"name": "dependency", "part": [
        {"name": "element", "valueUri": "http://example.org/use"},
        {"name": "concept", "valueCodeableConcept": {"coding": [{"system": "urn:u", "code": "print"}]}}]},), True,
     [("wider", "f0c"), ("narrower", "fcc")]),
    ("url=http://example.org/map&code=all", (), False, [("unmatched", None)]),
    ("url=http://example.org/map&code=navy", (), True, [("inexact", "000")]),
    ("url=http://example.org/map&code=f0c&reverse=true", (), True, [("narrower", "pink")]),
    ("system=http://example.org/rgb&code=f00&reverse=true&targetsystem=" + COLOURS, (), True, [("equivalent", "red")]),
    ("url=http://hl7.org/fhir/ConceptMap/101&code=home", (), True, [("equivalent", "H")]),
    ("url=http://hl7.org/fhir/ConceptMap/101&system=http://hl7.org/fhir/address-use&code=home", (), True,
     [("equivalent", "H")]),
]  # fmt: skip


@pytest.mark.proves("operation:ConceptMap/$translate")
@sqlite
def test_translate(shades: Fhir, subtests: Any) -> None:
    for query, rows, result, expected in TRANSLATE_CASES:
        with subtests.test(str((query, rows, result, expected))):
            answer = shades.post(f"ConceptMap/$translate?{query}", body(*rows)) if rows else shades.get(
                f"ConceptMap/$translate?{query}")
            assert matches(answer) == expected
            assert told(answer)["result"] is result
            assert ("message" in told(answer)) is (not result)


@sqlite
def test_more_maps_than_are_read_are_refused_not_passed_over(shades: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    shades.create(MAP | {"url": "http://example.org/another"})
    monkeypatch.setattr(stored_terminology, "MOST_FOUND", 1)
    shades.get(f"ConceptMap/$translate?system={COLOURS}&code=red").refused(422, "too-costly", "url")
    assert matches(shades.get("ConceptMap/$translate?url=http://example.org/map&code=red")) == [("equivalent", "f00")]


MORE_THAN_IS_LOOKED_UP_IS_REFUSED_CASES: list[Any] = [
    ("ValueSet/mine/$expand?displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    (f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    (f"ValueSet/mine/$validate-code?system={COLOURS}&code=red&displayLanguage=" + "a-" * 500, [], 400, "at most 8"),
    *((url, [{"name": "codeableConcept", "valueCodeableConcept": {"coding": [coding(f"c{n}") for n in range(101)]}}],
       422, "101 codings") for url in ("ValueSet/mine/$validate-code", "ConceptMap/mine/$translate")),
    ("ConceptMap/mine/$translate?code=red", [{"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"}, {"name": "concept", "valueCodeableConcept": {"text": "x"}}]}] * 21,
     422, "20 dependencies"),
    ("ConceptMap/mine/$translate?code=red", [{"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"},
        {"name": "concept", "valueCodeableConcept": {"coding": [coding("red")] * 101}}]}], 422, "100 codings"),
    (f"ConceptMap/$translate?system={COLOURS}&code=red", [{"name": "conceptMap", "resource": {
        "resourceType": "ConceptMap", "status": "active", "group": [
            {"source": COLOURS, "element": [{"code": "x"}], "unmapped": {"mode": "other-map", "url": f"urn:x:{n}"}}
            for n in range(101)]}}], 422, "100 other maps"),
]  # fmt: skip


@sqlite
def test_more_than_is_looked_up_is_refused(shades: Fhir, subtests: Any) -> None:
    for url, rows, status, text in MORE_THAN_IS_LOOKED_UP_IS_REFUSED_CASES:
        with subtests.test(text):
            answer = shades.post(url, body(*rows)) if rows else shades.get(url)
            answer.refused(status, "invalid" if status == 400 else "too-costly", text=text)


@sqlite
def test_what_translating_costs_is_counted(shades: Fhir) -> None:
    targets = [{"code": f"c{n}", "equivalence": "equal", "dependsOn": [{"property": "urn:x", "value": "no"}]}
               for n in range(2_000)]
    concept_map = {"resourceType": "ConceptMap", "status": "active", "group": [
        {"target": "urn:y", "element": [{"code": "red", "target": targets}]}]}
    asked = [coding("red", f"urn:{n}") for n in range(100)]
    depends = {"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:x"},
        {"name": "concept", "valueCodeableConcept": {"coding": [coding(f"c{n}") for n in range(100)]}}]}
    posted = body({"name": "conceptMap", "resource": concept_map}, depends,
                  {"name": "codeableConcept", "valueCodeableConcept": {"coding": asked}})
    shades.post("ConceptMap/$translate", posted).refused(422, "too-costly", text="too many")


@sqlite
def test_what_comparing_displays_costs_is_counted(shades: Fhir) -> None:
    designations = [{"value": f"d{n}"} for n in range(40_000)]
    system = SYSTEM | {"concept": [{"code": "red", "display": "Red", "designation": designations}]}
    asked = [coding("red", display=f"x{n}") for n in range(100)]
    posted = body({"name": "codeSystem", "resource": system},
                  {"name": "codeableConcept", "valueCodeableConcept": {"coding": asked}})
    shades.post("CodeSystem/$validate-code", posted).refused(422, "too-costly", text="too many")
    posted["parameter"][1]["valueCodeableConcept"]["coding"] = [*asked[:5], coding("red", display="D39999")]
    assert told(shades.post("CodeSystem/$validate-code", posted))["result"] is True


@sqlite
def test_of_each_map_the_version_in_use_translates(shades: Fhir) -> None:
    """A map of an older version, and one of R4 that a stored one replaces, went on beside it."""
    (group,) = MAP["group"]
    for version, status, code in (("2", "active", "two"), ("3", "retired", "three")):
        element = {"code": "red", "target": [{"code": code, "equivalence": "equal"}]}
        shades.create(MAP | {"version": version, "status": status, "group": [group | {"element": [element]}]})
    assert matches(shades.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == [("equal", "two")]
    other = {"source": "urn:a", "target": "urn:b", "element": [{"code": "1", "target": [
        {"code": "2", "equivalence": "equal"}]}]}
    query = "ConceptMap/$translate?system=http://hl7.org/fhir/administrative-gender&code=male"
    before = matches(shades.get(query))
    shades.create({"resourceType": "ConceptMap", "url": "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3",
                   "status": "active", "group": [other]})
    assert len(matches(shades.get(query))) == len(before) - 1
    shades.create(MAP | {"version": "4", "group": [other]})
    assert matches(shades.get(f"ConceptMap/$translate?system={COLOURS}&code=red")) == []


@sqlite
def test_a_match_has_its_target_products_and_map(shades: Fhir) -> None:
    parts = {row["name"]: row for row in told(shades.get("ConceptMap/mine/$translate?code=red"))["match"]}
    assert parts["concept"]["valueCoding"] == {"system": "http://example.org/rgb", "version": "3", "code": "f00"}
    assert parts["source"]["valueUri"] == "http://example.org/map"
    assert parts["product"]["part"] == [
        {"name": "element", "valueUri": "http://example.org/light"},
        {"name": "concept", "valueCoding": {"system": "urn:l", "code": "bright"}}]


@sqlite
def test_unmapped_codes_go_on_to_another_map_even_in_a_circle(shades: Fhir) -> None:
    group = {"source": COLOURS, "target": "http://example.org/rgb", "element": [{"code": "x", "target": []}]}
    for name, mode in (("a", {"mode": "other-map", "url": "http://example.org/b"}),
                       ("b", {"mode": "other-map", "url": "http://example.org/a"}),
                       ("e", {"mode": "other-map", "url": "http://example.org/none"}),
                       ("c", {"mode": "provided"}), ("d", {"mode": "other-map", "url": "http://example.org/c"})):
        row = {key: value for key, value in group.items() if key != "element"} | {
            "unmapped": mode, "element": [{"code": "x", "target": [{"code": "y", "equivalence": "equal"}]}]}
        shades.create({"resourceType": "ConceptMap", "url": f"http://example.org/{name}", "status": "active",
                       "group": [row]})
    assert matches(shades.get("ConceptMap/$translate?url=http://example.org/d&code=red")) == [("equal", "red")]
    assert matches(shades.get("ConceptMap/$translate?url=http://example.org/a&code=red")) == []
    missing = told(shades.get("ConceptMap/$translate?url=http://example.org/e&code=red"))
    assert missing["result"] is False
    assert "names http://example.org/none" in missing["message"]


@sqlite
def test_more_maps_in_a_row_than_are_followed_are_refused_not_passed_over(fhir: Fhir) -> None:
    for number in range(6):
        code = "red" if number == 5 else "x"
        group = {"source": COLOURS, "element": [{"code": code, "target": [{"code": "y", "equivalence": "equal"}]}],
                 "unmapped": {"mode": "other-map", "url": f"http://example.org/{number + 1}"}}  # fmt: skip
        fhir.create(MAP | {"url": f"http://example.org/{number}", "group": [group]})
    assert matches(fhir.get("ConceptMap/$translate?url=http://example.org/1&code=red")) == [("equal", "y")]
    fhir.get("ConceptMap/$translate?url=http://example.org/0&code=red").refused(422, "too-costly", "url", "than 5 maps")
