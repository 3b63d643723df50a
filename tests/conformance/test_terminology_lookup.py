"""What a code means and where it stands: https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.growth import Work, growth
from tests.terminologies import COLOURS, SET, SHADES, body, code_system, coding, told

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.mark.proves("operation:CodeSystem/$lookup")
def test_lookup_tells_everything_of_a_code(shades: Fhir) -> None:
    answer = shades.get(f"CodeSystem/$lookup?system={COLOURS}&code=red")
    found = told(answer)
    assert (found["name"], found["version"], found["display"]) == ("Colours", "1", "Red")
    rows = [row["part"] for row in answer.json["parameter"] if row["name"] == "property"]
    properties = [{part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in row}
                  for row in rows]
    assert properties == [
        {"code": "child", "value": "crimson", "description": "Crimson"},
        {"code": "child", "value": "pink", "description": "Pink"},
        {"code": "inactive", "value": False},
        {"code": "definition", "value": "As of roses"},
        {"code": "warm", "value": True, "description": "Whether it is a warm colour"},
    ]
    assert {"name": "language", "valueCode": "de"} in found["designation"]
    assert told(shades.post("CodeSystem/$lookup", body({"name": "coding", "valueCoding": coding("red")}))) == found


@sqlite
def test_lookup_gives_the_properties_that_are_asked_for(shades: Fhir) -> None:
    found = shades.get(f"CodeSystem/$lookup?system={COLOURS}&code=pink&property=parent&property=warm")
    assert [row["name"] for row in found.json["parameter"]] == ["name", "version", "display", "property"]
    assert told(found)["property"][1] == {"name": "value", "valueCode": "red"}
    german = shades.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&property=lang.de&displayLanguage=de")
    assert told(german)["display"] == "Rot"
    assert "designation" in told(german)
    shipped = told(shades.get("CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male"))
    assert shipped["display"] == "Male"


@sqlite
@pytest.mark.parametrize("asked", ["property=*", "property=warm,*", "property=parent&property=*"])
def test_lookup_gives_all_properties_for_a_star(shades: Fhir, asked: str) -> None:
    """As the servers of the tx ecosystem have it: designations, parents and children are among them."""
    for code in ("red", "pink", "all"):
        url = f"CodeSystem/$lookup?system={COLOURS}&code={code}"
        assert shades.get(f"{url}&{asked}").json == shades.get(url).json
    found = shades.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&{asked}").json["parameter"]
    names = [row["part"][0]["valueCode"] for row in found if row["name"] == "property"]
    assert names == ["child", "child", "inactive", "definition", "warm"]
    assert "designation" in [row["name"] for row in found]
    sent = body({"name": "coding", "valueCoding": coding("red")}, {"name": "property", "valueCode": "*"})
    assert shades.post("CodeSystem/$lookup", sent).json["parameter"] == found


@sqlite
def test_lookup_knows_what_supplements_add(shades: Fhir, client: Callable[..., Fhir]) -> None:
    rouge = {"code": "red", "designation": [{"language": "fr", "value": "Rouge"}]}
    shades.create(code_system("http://example.org/fr", rouge, content="supplement", supplements=COLOURS))
    assert told(shades.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=fr"))["display"] == "Rouge"
    narrow = client("system/CodeSystem.rs?url=" + COLOURS)
    assert told(narrow.get(f"CodeSystem/$lookup?system={COLOURS}&code=red&displayLanguage=fr"))["display"] == "Red"
    extended = SET | {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
                                     "valueCanonical": "http://example.org/fr"}]}
    first = shades.post("ValueSet/$expand?displayLanguage=fr", extended).json["expansion"]["contains"][0]
    assert first["display"] == "Rouge"


SUBSUMES_CASES: list[Any] = [
    ("red", "red", "equivalent"), ("red", "pink", "subsumes"), ("pink", "red", "subsumed-by"),
    ("red", "navy", "not-subsumed"), ("crimson", "pink", "not-subsumed"),
]  # fmt: skip


@pytest.mark.proves("operation:CodeSystem/$subsumes")
@sqlite
def test_subsumes(shades: Fhir, subtests: Any) -> None:
    for first, second, expected in SUBSUMES_CASES:
        with subtests.test(str((first, second, expected))):
            query = f"codeA={first}&codeB={second}"
            assert told(shades.get(f"CodeSystem/$subsumes?system={COLOURS}&{query}"))["outcome"] == expected
            assert told(shades.get(f"CodeSystem/mine/$subsumes?{query}"))["outcome"] == expected
            posted = body({"name": "codingA", "valueCoding": coding(first)},
                          {"name": "codingB", "valueCoding": coding(second)})
            assert told(shades.post("CodeSystem/$subsumes", posted))["outcome"] == expected


def a_coding(letter: str, **parts: str) -> dict[str, Any]:
    return {"name": f"coding{letter}", "valueCoding": parts}


WHAT_SEVERAL_PARAMETERS_SAY_IS_TAKEN_TOGETHER_CASES: list[Any] = [
    ("CodeSystem/$lookup", [a_coding("", code="red"), {"name": "system", "valueUri": COLOURS}], "display", "Red"),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "version", "valueString": "1"}],
     "display", "Red"),
    ("CodeSystem/$subsumes", [a_coding("A", code="red"), a_coding("B", code="pink"),
                              {"name": "system", "valueUri": f"{COLOURS}|1"}], "outcome", "subsumes"),
    ("CodeSystem/mine/$subsumes?codeA=red&version=1", [a_coding("B", code="pink", version="1")], "outcome", "subsumes"),
    (f"CodeSystem/$validate-code?url={COLOURS}%7C1&code=red", [], "result", True),
    ("CodeSystem/mine/$validate-code?version=1&code=red", [], "result", True),
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}%7C1&code=red", [], "result", True),
    (f"ValueSet/$validate-code?url={SHADES}%7C1&valueSetVersion=1&code=red", [], "result", True),
    (f"ConceptMap/$translate?system={COLOURS}%7C1&code=red", [], "result", True),
]  # fmt: skip


@sqlite
def test_what_several_parameters_say_is_taken_together(shades: Fhir, subtests: Any) -> None:
    for url, rows, name, expected in WHAT_SEVERAL_PARAMETERS_SAY_IS_TAKEN_TOGETHER_CASES:
        with subtests.test(str((url, rows))):
            assert told(shades.post(url, body(*rows)) if rows else shades.get(url))[name] == expected


WHAT_CONTRADICTS_IS_REFUSED_CASES: list[Any] = [
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "system", "valueUri": "urn:x"}],
     400, "names urn:x"),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red"), {"name": "version", "valueString": "9"}],
     404, "in version 9. Known is 1."),
    ("CodeSystem/$lookup", [a_coding("", system=COLOURS, code="red", version="1"),
                            {"name": "version", "valueString": "9"}], 400, "Two versions"),
    (f"CodeSystem/$lookup?system={COLOURS}%7C1&version=9&code=red", [], 400, "Two versions"),
    ("CodeSystem/$subsumes", [a_coding("A", system=COLOURS, code="red"), a_coding("B", system=COLOURS, code="pink"),
                              {"name": "system", "valueUri": "urn:x"}], 400, "names urn:x"),
    ("CodeSystem/$subsumes", [a_coding("A", system=COLOURS, code="red", version="1"),
                              a_coding("B", system=COLOURS, code="pink", version="2")], 400, "Two versions"),
    ("CodeSystem/mine/$subsumes?codeA=red&codeB=pink&version=9", [], 400, "Two versions"),
    ("CodeSystem/mine/$subsumes", [a_coding("A", code="red", version="9"), a_coding("B", code="pink")], 400,
     "Two versions"),
    ("CodeSystem/mine/$validate-code?version=9&code=red", [], 400, "Two versions"),
    ("CodeSystem/mine/$validate-code", [a_coding("", system=COLOURS, code="red", version="9")], 400, "Two versions"),
    (f"CodeSystem/$validate-code?url={COLOURS}%7C9&code=red", [], 404, "in version 9. Known is 1."),
    (f"ValueSet/$validate-code?url={SHADES}&system={COLOURS}%7C9&code=red", [], 422, "in version 9. Known is 1."),
    (f"ValueSet/$expand?url={SHADES}%7C1&valueSetVersion=9", [], 400, "url asks for version 1, valueSetVersion for 9"),
]  # fmt: skip


@sqlite
def test_what_contradicts_is_refused(shades: Fhir, subtests: Any) -> None:
    for url, rows, status, text in WHAT_CONTRADICTS_IS_REFUSED_CASES:
        with subtests.test(str((url, rows))):
            answer = shades.post(url, body(*rows)) if rows else shades.get(url)
            answer.refused(status, "invalid" if status == 400 else "not-found", text=text)


@sqlite
def test_thousands_of_properties_are_described_at_once(fhir: Fhir) -> None:
    """Each was looked for among all that the code system declares: 40,000, 3 MB, took minutes."""

    def described(number: int) -> Work:
        codes, url = [f"p{one}" for one in range(number)], f"urn:many:{number}"
        concept = {"code": "a", "property": [{"code": one, "valueCode": "x"} for one in codes]}
        fhir.create(code_system(url, concept, property=[
            {"code": one, "type": "code", "description": f"About {one}"} for one in codes]))

        def work() -> None:
            answer = fhir.get(f"CodeSystem/$lookup?system={url}&code=a")
            rows = [row["part"] for row in answer.json["parameter"] if row["name"] == "property"]
            assert rows[-1][0] == {"name": "code", "valueCode": codes[-1]}
            assert rows[-1][2] == {"name": "description", "valueString": f"About {codes[-1]}"}

        return work

    assert growth(described, 300) < 5
