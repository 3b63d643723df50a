"""Search by value sets and hierarchies: `:in`, `:not-in`, `:above`, `:below`. https://hl7.org/fhir/R4/search.html#token"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, observation, patient, post
from tests.conformance.conftest import Answer, Fhir
from tests.terminologies import COLOURS, R4, SHADES, code_system, filtered, listed, value_set

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])

SYSTEM = code_system(
    COLOURS,
    {"code": "red", "concept": [{"code": "crimson"}, {"code": "pink", "concept": [{"code": "rose"}]}]},
    "blue", id="c", version="1",
)  # fmt: skip
SET = value_set(filtered(COLOURS, "concept", "is-a", "pink"), listed("http://loinc.org", "8867-4"), id="s", url=SHADES,
                version="1")  # fmt: skip
EMPTY = value_set(filtered(COLOURS, "concept", "is-a", "none"), id="e", url="http://example.org/empty")
LOINC = value_set("http://loinc.org", id="l", url="http://example.org/loinc")
MISSING = value_set(filtered("http://loinc.org", "parent", "=", "LP1"), id="m", url="http://example.org/missing")


def coloured(code: str, system: str | None = COLOURS) -> dict[str, Any]:
    coding = {"code": code} | ({"system": system} if system else {})
    return observation() | {"code": {"coding": [coding]}, "identifier": [{"value": code}],
                            "category": [{"coding": [{"system": CATEGORY, "code": "survey"}]}]}


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    colours = ("red", "crimson", "pink", "rose", "blue")
    definitions = [SYSTEM, SET, EMPTY, LOINC, MISSING]
    rows = [{"request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}, "resource": one}
            for one in definitions]
    resources = [*map(coloured, colours), coloured("bare-rose", None), coloured("8867-4", "http://loinc.org"),
                 coloured("rose", "http://example.org/flowers"), patient()]
    resources[-2]["identifier"] = [{"value": "flower"}]
    answer = fhir.post("", bundle(*rows, *map(post, resources)))
    assert answer.status == 200, answer.content
    return fhir


def found(answer: Answer) -> set[str]:
    assert answer.status == 200, answer.content
    return {one["identifier"][0]["value"] for one in answer.resources()}


ALL = {"red", "crimson", "pink", "rose", "blue", "bare-rose", "8867-4", "flower"}
CASES = [
    (f"code:in={SHADES}", {"pink", "rose", "8867-4"}),
    (f"code:in={SHADES}%7C1", {"pink", "rose", "8867-4"}),
    ("code:in=ValueSet/s", {"pink", "rose", "8867-4"}),
    ("code:in=ValueSet/e", set()),
    (f"code:in=ValueSet/e,{SHADES}", {"pink", "rose", "8867-4"}),
    (f"code:not-in={SHADES}", ALL - {"pink", "rose", "8867-4"}),
    ("code:not-in=http://example.org/empty", ALL),
    ("code:in=http://example.org/loinc", {"8867-4"}),
    ("code:in=http://loinc.org/vs", {"8867-4"}),
    ("code:in=http://snomed.info/sct?fhir_vs", set()),
    (f"category:in={R4}observation-category", ALL),
    (f"category:not-in={R4}observation-category", set()),
    (f"status:in={R4}observation-status", ALL),
    (f"combo-code:in={SHADES}", {"pink", "rose", "8867-4"}),
    (f"code:below={COLOURS}%7Cpink", {"pink", "rose"}),
    (f"code:below={COLOURS}%7Cred", {"red", "crimson", "pink", "rose"}),
    (f"code:below={COLOURS}%7Ccrimson,{COLOURS}%7Cblue", {"crimson", "blue"}),
    (f"code:above={COLOURS}%7Crose", {"red", "pink", "rose"}),
    (f"code:above={COLOURS}%7Cred", {"red"}),
    (f"code:below={COLOURS}%7Cred&code:not-in={SHADES}", {"red", "crimson"}),
]


@pytest.mark.proves("modifier:token:in", "modifier:token:not-in", "modifier:token:above", "modifier:token:below")
def test_searches_find_what_the_value_set_or_hierarchy_has(stored: Fhir, subtests: Any) -> None:
    for query, expected in CASES:
        with subtests.test(query):
            assert found(stored.get(f"Observation?{query}")) == expected
    page = stored.get(f"Observation?code:in={SHADES}&_count=2&_total=accurate")
    assert page.json["total"] == 3
    assert f"code:in={SHADES}" in (page.link("self") or "")
    following = stored.get(page.link("next") or "")
    assert len(found(page) | found(following)) == 3
    assert found(stored.post("Observation/_search", f"code:in={quote(SHADES)}",
                             Content_Type="application/x-www-form-urlencoded")) == {"pink", "rose", "8867-4"}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Observation?code:in={SHADES}"}}]}
    assert stored.post("", batch).resources()[0]["total"] == 3
    exists = stored.post("Observation", coloured("pink"), If_None_Exist=f"code:in={SHADES}&identifier=pink")
    assert exists.status == 200


REFUSALS = [
    ("code:in=http://example.org/none", "not-found", "http://example.org/none is not known"),
    ("code:in=ValueSet/none", "not-found", "ValueSet/none"),
    ("code:in=http://example.org/missing", "not-found", "http://loinc.org is not known"),
    (f"code:in={R4}body-site,{SHADES}", "not-supported", "snomed"),
    ("code:in=", "invalid", "empty value"),
    ("code:in=" + ",".join(["ValueSet/s"] * 21), "invalid", "at most 20"),
    ("code:below=red", "invalid", "needs system|code"),
    (f"code:below={COLOURS}%7C", "invalid", "needs system|code"),
    (f"code:above={COLOURS}%7Cgreen", "not-found", "no such code"),
    ("code:below=http://loinc.org%7C8867-4", "not-found", "http://loinc.org is not known"),
    ("code:below=http://snomed.info/sct%7C1", "not-supported", "without its content"),
    ("subject:in=ValueSet/s", "invalid", "modifiers are"),
    ("_id:in=ValueSet/s", "invalid", "modifiers are"),
]


@sqlite
def test_what_cannot_be_searched_for_says_why(stored: Fhir, subtests: Any) -> None:
    for query, code, text in REFUSALS:
        with subtests.test(query):
            stored.get(f"Observation?{query}").refused(400, code, query.partition("=")[0], text)


def test_many_codes_are_found_and_too_many_refused(fhir: Fhir) -> None:
    for size in (1_000, 10_000, 10_001):
        many = listed("http://example.org/many", *(f"c{number}" for number in range(size)))
        assert fhir.put(f"ValueSet/v{size}", value_set(many, id=f"v{size}", url=None)).status == 201
    fhir.create(coloured("c9999", "http://example.org/many"))
    fhir.create(coloured("other", "http://example.org/many"))
    assert found(fhir.get("Observation?code:in=ValueSet/v10000")) == {"c9999"}
    assert found(fhir.get("Observation?code:not-in=ValueSet/v10000")) == {"other"}
    fhir.create(coloured("c999", "http://example.org/many"))
    assert found(fhir.get("Observation?code:in=ValueSet/v1000")) == {"c999"}
    assert found(fhir.get("Observation?code:not-in=ValueSet/v1000")) == {"c9999", "other"}
    subject = f"Patient/{fhir.create(patient())['id']}"
    of_patient = fhir.create(coloured("c7", "http://example.org/many") | {"subject": {"reference": subject}})
    fhir.create(coloured("own", "http://example.org/many") | {"subject": {"reference": subject}})
    for search, expected in (  # the statement of a thousand codes is that of ten thousand
        ("code:in=ValueSet/v1000&_sort=-date&_count=1", {"c7", "c999"}),
        (f"code:in=ValueSet/v1000&patient={subject}", {"c7"}),
        (f"code:not-in=ValueSet/v1000&patient={subject}", {"own"}),
        ("code:in=ValueSet/v1000&status=final&category=survey", {"c7", "c999"}),
        ("code:not-in=ValueSet/v1000&status=final", {"c9999", "other", "own"}),
    ):
        matches, page = set(), fhir.get(f"Observation?{search}")
        while True:
            matches |= found(page)
            following = page.link("next")
            if following is None:
                break
            page = fhir.get(following)
        assert matches == expected, search
        assert fhir.total(f"Observation?{search}") == len(expected), search
    assert found(fhir.get(f"Observation?code:in=ValueSet/v10000&status=final&patient={subject}")) == {"c7"}
    for many in ("v1000", "v10000"):
        assert fhir.total(f"Patient?_has:Observation:patient:code:in=ValueSet/{many}") == 1
    assert fhir.total("Patient?_has:Observation:patient:code:not-in=ValueSet/v1000") == 1
    assert found(fhir.get(f"Observation?code:in=ValueSet/v1000&_id={of_patient['id']}")) == {"c7"}
    fhir.get("Observation?code:in=ValueSet/v10001").refused(400, "too-costly", "code:in", "10001 codes")
    four = "&".join(["code:in=ValueSet/v10000"] * 4)
    fhir.get(f"Observation?{four}").refused(400, "too-costly", "code:in", "too many codes")


def test_a_value_set_that_the_token_may_not_see_is_not_used(stored: Fhir, client: Callable[..., Fhir]) -> None:
    blind = client("system/Observation.rs")
    blind.get(f"Observation?code:in={SHADES}").refused(400, "not-found", "code:in", "is not known here")
    blind.get("Observation?code:in=ValueSet/s").refused(403, "forbidden")
    blind.get(f"Observation?code:below={COLOURS}%7Cred").refused(400, "not-found", "code:below", "is not known here")
    assert len(found(blind.get(f"Observation?category:in={R4}observation-category"))) == 8
    granular = client("system/Observation.rs", "system/CodeSystem.rs", f"system/ValueSet.rs?url={EMPTY['url']}")
    granular.get("Observation?code:in=ValueSet/s").refused(400, "not-found", "code:in")
    granular.get(f"Observation?code:in={SHADES}").refused(400, "not-found", "code:in")
    assert found(granular.get("Observation?code:in=ValueSet/e")) == set()
    sets_only = client("system/Observation.rs", "system/ValueSet.rs")
    sets_only.get(f"Observation?code:in={SHADES}").refused(400, "not-found", "code:in", f"{COLOURS} is not known here")
    narrow = client("system/Observation.rs?identifier=rose", "system/ValueSet.rs", "system/CodeSystem.rs")
    assert found(narrow.get(f"Observation?code:in={SHADES}&_total=accurate")) == {"rose"}


@sqlite
def test_all_codes_of_a_code_system_are_those_of_the_version_and_place_that_is_meant(stored: Fhir) -> None:
    stored.put("CodeSystem/c2", code_system(COLOURS, "blue", id="c2", version="2"))
    inside = code_system("http://example.org/flowers", "tulip", id="in")
    for id_, include, more, expected in (
        ("v1", {"version": "1"}, {}, {"red", "crimson", "pink", "rose", "blue"}),
        ("v2", {"version": "2"}, {}, {"blue"}), ("v3", {}, {}, {"blue"}),
        ("v4", {"system": "#in"}, {"contained": [inside]}, set()),
    ):  # fmt: skip
        stored.put(f"ValueSet/{id_}", value_set({"system": COLOURS} | include, id=id_, url=f"urn:{id_}", **more))
        assert found(stored.get(f"Observation?code:in=ValueSet/{id_}")) == expected, id_


WHOLE = "http://example.org/ValueSet/whole"


@pytest.mark.parametrize("named", [WHOLE, f"{WHOLE}|1"])
def test_the_value_set_that_a_code_system_names_is_that_of_all_its_codes(client: Any, stored: Fhir, named: str) -> None:
    """https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet"""
    expand = f"ValueSet/$expand?url={WHOLE}"
    stored.get(expand).refused(404, "not-found")
    stored.put("CodeSystem/c", SYSTEM | {"valueSet": named})
    expansion = stored.get(expand).json["expansion"]
    assert {one["code"] for one in expansion["contains"]} == {"red", "crimson", "pink", "rose", "blue"}
    colours = {"red", "crimson", "pink", "rose", "blue"}
    assert found(stored.get(f"Observation?code:in={WHOLE}&_count=50")) == colours
    assert found(stored.get(f"Observation?code:not-in={WHOLE}&_count=50")) == ALL - colours
    asked = f"ValueSet/$validate-code?url={WHOLE}&system={COLOURS}&code="
    assert [stored.get(asked + code).json["parameter"][0]["valueBoolean"] for code in ("rose", "x")] == [True, False]
    stored.put("ValueSet/i", value_set({"valueSet": [WHOLE]}, id="i", url="http://example.org/importing"))
    assert len(stored.get("ValueSet/$expand?url=http://example.org/importing").json["expansion"]["contains"]) == 5
    versioned = stored.get(f"{expand}&valueSetVersion=1")
    assert versioned.status == (200 if "|" in named else 404)
    stored.get(f"{expand}&valueSetVersion=2").refused(404, "not-found")
    blind = client("system/Observation.rs", "system/ValueSet.rs", "system/CodeSystem.rs?status=draft")
    blind.get(f"Observation?code:in={WHOLE}").refused(400, "not-found")
    blind.get(expand).refused(404, "not-found")
    stored.put("ValueSet/w", value_set(listed(COLOURS, "blue"), id="w", url=WHOLE))
    assert found(stored.get(f"Observation?code:in={WHOLE}")) == {"blue"}, "what is stored under the URL goes before"
    stored.delete("ValueSet/w")
    stored.put("CodeSystem/c", SYSTEM)
    stored.get(expand).refused(404, "not-found")
