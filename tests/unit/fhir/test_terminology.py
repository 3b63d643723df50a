"""Code systems without a store, and what the specification brings; its own value sets are the table of cases."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hie.errors import FhirError, NotSupported, TooCostly, Unprocessable
from hie.fhir import facts, generate_terminology
from hie.fhir.terminology import Terminology, in_value_set, shipped
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.expansion import MOST_NESTED, Wishes, expanded
from hie.fhir.terminology.grammars import GRAMMARS
from hie.fhir.terminology.patterns import pattern
from tests.packages import generated_again
from tests.terminologies import R4, THO, code_system, value_set
from tests.unit.fhir.animals import ANIMALS, SYSTEM, codes, concept

# ---- what ships ------------------------------------------------------------------------------------------------------


def test_the_archive_generated_again_is_the_one_committed(shared_data: Path) -> None:
    members = generated_again(generate_terminology, shipped.ARCHIVE, shared_data)
    assert shipped._member("index.json") == members["index.json"]


def test_everything_of_the_specification_is_at_hand() -> None:
    assert [len(shipped.index(name)) for name in generate_terminology.TYPES] == [1062, 1316, 80]


def test_required_value_sets_are_what_the_facts_say_of_them() -> None:
    terminology = Terminology(most_steps=None)
    for url, systems in facts.load()["required"].items():
        expected = {(system, code) for system, found in systems.items() for code in found}
        assert set(terminology.value_set(url).members()) == expected, url


def test_most_value_sets_of_the_specification_can_be_listed() -> None:
    terminology = Terminology(most_steps=None)
    listed, refused = 0, []
    for url in shipped.index("ValueSet"):
        try:
            listed += bool(terminology.value_set(url).members())
        except FhirError as error:
            refused.append(error.status)
    assert set(refused) <= {400, 404, 422}  # 400: example-filter, by a filter that its code system alone knows
    assert listed >= 1_200  # the others need SNOMED CT, LOINC, UCUM and other systems that R4 does not bring


@pytest.mark.parametrize(("url", "system", "code", "expected"), [
    ("administrative-gender", None, "male", True),
    ("administrative-gender|4.0.1", "http://hl7.org/fhir/administrative-gender", "masculine", False),
    ("administrative-gender|3.0.1", None, "male", None),
    ("observation-category", THO + "observation-category", "laboratory", True),
    ("observation-category", "http://loinc.org", "laboratory", False),
    ("body-site", "http://snomed.info/sct", "122495006", None),
    ("body-site", "http://loinc.org", "1", False),
    ("service-type", THO + "service-type", "1", True),
    ("service-type", THO + "service-type", "local-1", None),
    ("languages", "urn:ietf:bcp:47", "de-CH", True),
    ("all-languages", "urn:ietf:bcp:47", "tlh", True),
    ("all-languages", "urn:ietf:bcp:47", "x y", False),
    ("mimetypes", "urn:ietf:bcp:13", "image/png", True),
    ("ucum-units", "http://unitsofmeasure.org", "mmol/L", True),
    ("ucum-units", "http://unitsofmeasure.org", "furlong per fortnight", False),
    ("all-time-units", "http://unitsofmeasure.org", "min", True),
    ("all-time-units", "http://unitsofmeasure.org", "mg", False),
    ("all-distance-units", "http://unitsofmeasure.org", "[in_i]", True),
    ("inactive", THO + "v3-ActMood", "RSK", True),
    ("inactive", THO + "v3-ActMood", "_ActMoodPredicate", False),
    ("does-not-exist", None, "x", None),
], ids=lambda one: str(one))  # fmt: skip
def test_membership_has_three_answers(url: str, system: str | None, code: str, expected: bool | None) -> None:
    assert in_value_set(R4 + url, system, code) is expected


def test_official_examples_list_the_codes_of_their_own_expansion(shared_data: Path) -> None:
    compared = []
    with tarfile.open(shared_data / "definitions" / "r4-examples.tar.xz") as archive:
        for name in ("example-expansion", "yesnodontknow", "inactive"):
            resource = json.load(archive.extractfile(f"r4-examples/valueset-{name}.json"  # type: ignore[arg-type]
                                                     if name == "example-expansion"
                                                     else f"r4-examples/valueset-example-{name}.json"))
            expected = set(Terminology(given=[resource]).value_set(resource["url"])._expansion or ())
            definition = {key: value for key, value in resource.items() if key != "expansion"}
            if name == "example-expansion":  # LOINC is not here: the expansion it carries is all that is known
                with pytest.raises(Unprocessable, match=r"loinc\.org is not known"):
                    Terminology(given=[definition]).value_set(resource["url"]).members()
                definition = resource
            found = set(Terminology(given=[definition]).value_set(resource["url"]).members())
            if name == "inactive":  # the published expansion is an excerpt; see the definition it belongs to
                assert {code for _, code in found - expected} <= {"GOL.CRT", "INT.CRT", "EVN.CRT", "PRMS.CRT",
                                                                  "RQO.CRT", "RSK.CRT"}
            assert expected <= found
            compared.append(len(expected))
    assert compared == [8, 3, 5]


# ---- code systems ----------------------------------------------------------------------------------------------------


def test_a_hierarchy_may_have_several_parents_and_even_a_circle() -> None:
    system = CodeSystem(ANIMALS)
    assert sorted(system.ancestors("dog")) == ["animal", "mammal", "pet"]
    assert sorted(system.descendants("pet")) == ["cat", "dog"]
    circle = CodeSystem({"url": "x", "content": "complete", "concept": [
        concept("a", property=[{"code": "parent", "valueCode": "b"}]),
        concept("b", property=[{"code": "parent", "valueCode": "a"}])]})
    assert circle.ancestors("a") == ["b"]
    assert circle.descendants("a") == ["b"]


def test_a_supplement_adds_designations_and_properties() -> None:
    more = code_system("http://example.org/fr", concept("dog", designation=[{"language": "fr", "value": "chien"}]),
                       content="supplement", supplements=SYSTEM)  # fmt: skip
    dog = CodeSystem(ANIMALS, [more]).concepts["dog"]
    assert dog.designations == [{"language": "fr", "value": "chien"}]
    with pytest.raises(Unprocessable, match="is a supplement of"):
        Terminology(given=[ANIMALS, more]).code_system("http://example.org/fr")


@pytest.mark.parametrize(("system", "code", "expected"), [
    ("urn:ietf:bcp:47", "en", True), ("urn:ietf:bcp:47", "zh-Hant-TW", True), ("urn:ietf:bcp:47", "de-1996", True),
    ("urn:ietf:bcp:47", "en_US", False), ("urn:ietf:bcp:47", "e", False), ("urn:ietf:bcp:47", "", False),
    ("urn:ietf:bcp:47", "x-klingon", True), ("urn:ietf:bcp:13", "application/fhir+json", True),
    ("urn:ietf:bcp:13", "text/plain; charset=utf-8", True), ("urn:ietf:bcp:13", "pdf", False),
    ("http://unitsofmeasure.org", "mg/dL", True), ("http://unitsofmeasure.org", "[pH]", True),
    ("http://unitsofmeasure.org", "dB", True), ("http://unitsofmeasure.org", "mg%%", False),
    ("http://unitsofmeasure.org", "{cells}", True), ("http://unitsofmeasure.org", "", False),
    ("urn:ietf:rfc:3986", "urn:oid:1.2", True), ("urn:ietf:rfc:3986", "no uri", False),
])  # fmt: skip
def test_grammars(system: str, code: str, expected: bool) -> None:
    assert GRAMMARS[system](code) is expected


@pytest.mark.parametrize("text", [
    "(a|b)*", "(ab)+c", "a*b*c*d*", "(?i)x", "x" * 300, "(a{2}){3}", "a?" * 40 + "a{40}", "(a|aa)" * 25 + "[b]",
    ".{1,99}" * 8 + "[b]", "[ab]{0,60}" * 3, ".*.*a?a?a?a?[b]", "(a?" * 20 + ")" * 20,
])  # fmt: skip
def test_a_pattern_that_could_run_away_is_refused(text: str) -> None:
    with pytest.raises(NotSupported):
        pattern(text)


@pytest.mark.parametrize("text", [
    "[A-Z]{3}", r"\d+-\d", "(a|b)c", r"[(*+]+\)", "LP.*", r"[A-Z]{1,3}[0-9]{2}(\.[0-9]{1,2})?", "a|b|c|d|e|f|g|h",
    "a{7}" * 20, "a{2,}?b", "x{y}",
])  # fmt: skip
def test_a_pattern_that_ends_soon_is_taken(text: str) -> None:
    pattern(text)


def test_what_a_pattern_costs_is_counted_wherever_it_is_asked() -> None:
    many = code_system("http://example.org/many", *(f"{number:040}" for number in range(2_000)))
    by_words = value_set({"system": many["url"], "filter": [{"property": "code", "op": "regex", "value": ".*.*a?[b]"}]},
                         url="http://example.org/fits")
    asked = {"system": many["url"], "valueSet": [by_words["url"]]}
    for compose in ({"include": [asked]}, {"include": [{"system": many["url"]}], "exclude": [asked]}):
        definition = value_set() | {"compose": compose}
        terminology = Terminology(given=[many, by_words, definition], most_steps=200_000)
        with pytest.raises(TooCostly):
            terminology.value_set(definition["url"]).members()


# ---- what R4 allows and nobody expects -------------------------------------------------------------------------------


def test_an_extension_in_the_place_of_a_code_is_passed_over() -> None:
    extended = {"extension": [{"url": "http://example.org/unknown", "valueCode": "unknown"}]}
    system = CodeSystem({"url": SYSTEM, "content": "complete", "property": [{"_code": extended, "type": "code"}],
                         "concept": [{"_code": extended, "concept": [concept("dog", property=[
                             {"_code": extended, "valueCode": "x"},
                             {"code": "status", "valueCoding": {"code": "retired"}},
                             {"code": "child", "valueCoding": {"display": "no code"}}],
                             designation=[{"_value": extended}])]}]})
    assert list(system.concepts) == ["dog"]
    assert system.concepts["dog"].is_inactive
    assert system.concepts["dog"].designations == []
    listed = value_set({"system": SYSTEM, "concept": [{"_code": extended}, {"code": "dog"}]})
    assert codes(listed) == ["dog"]
    without = value_set({"system": SYSTEM, "filter": [{"property": "concept", "_op": extended, "value": "dog"}]})
    with pytest.raises(NotSupported, match="A filter without"):
        Terminology(given=[ANIMALS, without]).value_set(without["url"]).members()
    nothing = value_set({"valueSet": [None], "_valueSet": [extended]})
    assert codes(nothing) == []


def test_a_long_chain_and_a_circle_can_be_nested() -> None:
    chain = [{"code": f"c{n}", "property": [{"code": "parent", "valueCode": f"c{n - 1}"}]} for n in range(3_000)]
    circle = [{"code": f"r{n}", "property": [{"code": "parent", "valueCode": f"r{(n + 1) % 3}"}]} for n in range(3)]
    system = code_system(SYSTEM, *chain, *circle)
    definition = value_set(SYSTEM)
    found = expanded(Terminology(given=[system, definition]).value_set(definition["url"]), Wishes(nested=True), "x", 0)

    def count(rows: list[dict[str, Any]], depth: int) -> int:
        assert not rows or depth <= MOST_NESTED
        return sum(1 + count(row.get("contains", []), depth + 1) for row in rows)

    assert count(found["expansion"]["contains"], 1) == 3_003
