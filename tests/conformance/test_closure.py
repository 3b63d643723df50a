"""$closure: https://hl7.org/fhir/R4/terminology-service.html#closure"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from hie.fhir.terminology.closure import Entry
from hie.fhir.validation import validate
from hie.operations import closure
from tests.builders import patient
from tests.conformance.conftest import Answer, Fhir
from tests.terminologies import code_system

ANIMALS, PARTS, FOLDED = (f"http://example.org/CodeSystem/{one}" for one in ("animals", "parts", "folded"))
SYSTEM = code_system(
    ANIMALS,
    {"code": "animal", "concept": [
        {"code": "cat", "concept": [{"code": "lion"}]}, {"code": "dog"},
        {"code": "pet", "property": [{"code": "child", "valueCode": "dog"}]}]},
    "plant", id="animals", version="1", hierarchyMeaning="is-a",
)  # fmt: skip
OTHERS = (
    code_system(PARTS, "hand", id="parts", hierarchyMeaning="part-of"),
    code_system(FOLDED, {"code": "A", "concept": [{"code": "B"}]}, id="folded", caseSensitive=False),
)


def call(name: str, *concepts: str, version: str | None = None, system: str = ANIMALS, **more: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [{"name": "name", "valueString": name}]
    rows += [{"name": "concept", "valueCoding": {"system": system, "code": one, **more}} for one in concepts]
    rows += [{"name": "version", "valueString": version}] if version is not None else []
    return {"resourceType": "Parameters", "parameter": rows}


def told(answer: Answer) -> tuple[str, list[str]]:
    """Return the version of a delta and its entries."""
    assert answer.status == 200, answer.content
    found = answer.json
    assert [one for one in validate(found, "ConceptMap") if one.severity != "warning"] == []
    assert (found["status"], found["experimental"]) == ("active", True)
    rows = [f"{element['code']} {target['equivalence']} {target['code']}" for group in found.get("group", [])
            for element in group["element"] for target in element["target"]]
    assert all(group["source"] == group["target"] for group in found.get("group", []))
    return found["version"], rows


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    for one in (SYSTEM, *OTHERS):
        assert fhir.put(f"CodeSystem/{one['id']}", one).status == 201
    return fhir


@pytest.mark.proves("operation:base/$closure")
def test_a_closure_table_tells_each_entry_once_and_again_when_asked(stored: Fhir) -> None:
    created = stored.post("$closure", call("pets"))
    assert told(created) == ("0", [])
    assert created.json["name"] == "Closure Table pets Creation"
    first = stored.post("$closure", call("pets", "cat"))
    assert told(first) == ("1", [])
    assert first.json["name"] == "Updates for Closure Table pets"
    assert told(stored.post("$closure", call("pets", "lion", "animal", "lion"))) == (
        "2", ["cat subsumes animal", "lion subsumes animal", "lion subsumes cat"])
    assert told(stored.post("$closure", call("pets", "cat"))) == ("3", [])  # nothing new, by a version of its own
    assert told(stored.post("$closure", call("pets", "plant"))) == ("4", [])
    last = stored.post("$closure", call("pets", "pet", "dog"), Accept="application/fhir+xml")
    dogs = ["dog subsumes animal", "dog subsumes pet", "pet subsumes animal"]
    assert told(last) == ("5", dogs)
    assert last.json["group"][0]["sourceVersion"] == "1"
    every = ["cat subsumes animal", *dogs[:2], "lion subsumes animal", "lion subsumes cat", dogs[2]]
    for version, expected in (("0", every), ("1", every), ("2", dogs), ("4", dogs), ("5", [])):
        assert told(stored.post("$closure", call("pets", version=version))) == ("5", expected), version
    assert told(stored.post("$closure", call("pets"))) == ("0", [])
    assert told(stored.post("$closure", call("pets", version="0"))) == ("0", [])
    assert told(stored.post("$closure", call("pets", "lion"))) == ("1", [])


def test_other_writings_of_a_code_are_equal(stored: Fhir) -> None:
    stored.post("$closure", call("letters"))
    assert told(stored.post("$closure", call("letters", "b", system=FOLDED))) == ("1", [])
    assert told(stored.post("$closure", call("letters", "A", "B", system=FOLDED))) == (
        "2", ["B equal b", "B subsumes A", "b subsumes A"])


def test_what_has_changed_must_be_initialized_anew(stored: Fhir) -> None:
    stored.post("$closure", call("pets"))
    stored.post("$closure", call("pets", "cat", "lion"))
    assert stored.put("CodeSystem/animals", SYSTEM | {"title": "Others"}).status == 200
    assert told(stored.post("$closure", call("pets", "dog")))[0] == "2"  # the codes stand as they did
    moved = [{"code": "lion"}, {"code": "cat"}, {"code": "dog"}]
    assert stored.put("CodeSystem/animals", SYSTEM | {"concept": moved}).status == 200
    for asked in (call("pets", "dog"), call("pets", version="1")):
        stored.post("$closure", asked).refused(422, "processing", "name", "must be initialized anew")
    assert stored.put("CodeSystem/animals", SYSTEM | {"concept": moved[:1]}).status == 200
    stored.post("$closure", call("pets", version="1")).refused(422, "processing", "name", "cat is not in the code")
    stored.post("$closure", call("pets"))
    assert told(stored.post("$closure", call("pets", "lion"))) == ("1", [])
    assert stored.delete("CodeSystem/animals").status == 200
    stored.post("$closure", call("pets", version="0")).refused(422, "processing", "name", "is not known here")


REFUSALS: list[tuple[dict[str, Any], int, str, str, str]] = [
    (call("other", "cat"), 404, "not-found", "name", "was not initialized"),
    (call("other", version="0"), 404, "not-found", "name", "was not initialized"),
    (call("pets", "cat", version="0"), 400, "invalid", "version", "not both"),
    (call("pets", version="1"), 400, "invalid", "version", "versions 0 to 0"),
    (call("pets", version="-1"), 400, "invalid", "version", "versions 0 to 0"),
    (call("x" * 201), 400, "invalid", "name", "1 to 200 characters"),
    (call("pets", "unicorn"), 422, "not-found", "concept", "unicorn is not in the code system"),
    (call("pets", "cat", system="http://example.org/none"), 422, "not-found", "concept", "is not known here"),
    (call("pets", "cat", version=None, system=f"{ANIMALS}|7"), 422, "not-found", "concept", "in version 7"),
    (call("pets", "hand", system=PARTS), 422, "processing", "concept", "part-of"),
    ({"resourceType": "Parameters", "parameter": [{"name": "name", "valueString": "pets"},
      {"name": "concept", "valueCoding": {"code": "cat"}}]}, 400, "invalid", "concept", "system and code"),
    ({"resourceType": "Parameters", "parameter": [
        {"name": "concept", "valueCoding": {"system": ANIMALS, "code": "cat"}}]}, 400, "invalid", "name", "needs"),
]  # fmt: skip


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_cannot_be_entered_is_refused_and_changes_nothing(
    stored: Fhir, subtests: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.post("$closure", call("pets"))
    for asked, status, code, expression, text in REFUSALS:
        with subtests.test(text):
            stored.post("$closure", asked).refused(status, code, expression, text)
    assert told(stored.post("$closure", call("pets", version="0"))) == ("0", [])
    refused = stored.get("$closure?name=pets")
    refused.refused(405, "not-supported")
    assert refused.headers["Allow"] == "OPTIONS, POST"
    stored.post("$closure", call("pets", "cat"))
    other = {"resourceType": "Parameters", "parameter": [
        *call("pets")["parameter"],
        {"name": "concept", "valueCoding": {"system": ANIMALS, "code": "dog", "version": "2"}}]}  # fmt: skip
    stored.post("$closure", other).refused(422, "processing", "concept", "one table holds one version")
    monkeypatch.setattr("hie.operations.closure.MOST_CHARACTERS", 12)  # cat animal: 9
    stored.post("$closure", call("pets", "animal", "dog")).refused(422, "too-costly", "concept", "12 characters")
    assert told(stored.post("$closure", call("pets", "animal"))) == ("2", ["cat subsumes animal"])
    monkeypatch.setattr("hie.operations.closure.MOST_CONCEPTS", 2)
    monkeypatch.setattr("hie.store.closures.MOST_TABLES", 1)
    stored.post("$closure", call("pets", "dog", "lion")).refused(422, "too-costly", "concept", "at most 2 concepts")
    stored.post("$closure", call("more")).refused(422, "too-costly", "name", "at most 1 closure tables")
    assert told(stored.post("$closure", call("pets"))) == ("0", [])


def test_a_table_is_its_clients_alone_and_shows_what_the_token_may_see(
    stored: Fhir, client: Callable[..., Fhir]
) -> None:
    stored.post("$closure", call("pets"))
    stored.post("$closure", call("pets", "cat", "lion"))
    other = client("system/*.cruds", name="other")
    other.post("$closure", call("pets", version="0")).refused(404, "not-found", "name")
    blind = client("system/Patient.rs", name="blind")
    assert told(blind.post("$closure", call("pets"))) == ("0", [])
    unknown = blind.post("$closure", call("pets", "cat"))
    unknown.refused(422, "not-found", "concept", f"CodeSystem {ANIMALS} is not known here")
    published = call("pets", "male", "other", system="http://hl7.org/fhir/administrative-gender")
    assert told(blind.post("$closure", published)) == ("1", [])  # what R4 defines is open to everybody
    assert told(stored.post("$closure", call("pets", version="0"))) == ("1", ["lion subsumes cat"])


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_writings_of_one_code_are_counted_as_they_are_told_with_one_another(fhir: Fhir) -> None:
    """2,000 writings of a code are two million entries."""
    long = OTHERS[1] | {"concept": [{"code": "abcdefghijk"}]}
    assert fhir.put("CodeSystem/folded", long).status == 201
    fhir.post("$closure", call("pets"))
    writings = ["".join(pair) for pair in product(*((one, one.upper()) for one in "abcdefghijk"))][:2_000]
    fhir.post("$closure", call("pets", *writings, system=FOLDED)).refused(422, "too-costly", text="too many codes")
    assert told(fhir.post("$closure", call("pets", *writings[:2], system=FOLDED)))[0] == "1"


def test_tables_are_kept_in_bundles_and_under_concurrency(stored: Fhir, client: Callable[..., Fhir]) -> None:
    rows = [{"request": {"method": "POST", "url": "$closure"}, "resource": one}
            for one in (call("pets"), call("pets", "cat"), call("pets", "lion"))]
    batch = stored.post("", {"resourceType": "Bundle", "type": "batch", "entry": rows})
    assert [one["version"] for one in batch.resources()] == ["0", "1", "2"], batch.content
    versions: list[str] = []

    def add(code: str) -> None:
        versions.append(told(stored.post("$closure", call("pets", code)))[0])

    threads = [threading.Thread(target=add, args=(one,)) for one in ("animal", "dog", "pet", "plant")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(versions) == ["3", "4", "5", "6"]
    assert told(stored.post("$closure", call("pets", version="0"))) == ("6", [
        "cat subsumes animal", "dog subsumes animal", "dog subsumes pet", "lion subsumes animal", "lion subsumes cat",
        "pet subsumes animal"])  # fmt: skip


def test_others_write_while_entries_are_worked_out(stored: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    told(stored.post("$closure", call("pets")))
    real, done = closure.entries, []

    def entries(*given: Any) -> set[Entry]:
        writer = threading.Thread(target=lambda: done.append(stored.post("Patient", patient()).status))
        writer.start()
        writer.join(5)
        return real(*given)

    monkeypatch.setattr(closure, "entries", entries)
    assert told(stored.post("$closure", call("pets", "dog", "pet"))) == ("1", ["dog subsumes pet"])
    assert done == [201]


def test_a_table_that_moved_meanwhile_is_looked_at_anew(stored: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    told(stored.post("$closure", call("pets")))
    real, others = closure.entries, ["animal"]

    def entries(*given: Any) -> set[Entry]:
        if others:
            assert told(stored.post("$closure", call("pets", others.pop()))) == ("1", [])
        return real(*given)

    monkeypatch.setattr(closure, "entries", entries)
    assert told(stored.post("$closure", call("pets", "dog"))) == ("2", ["dog subsumes animal"])
    assert told(stored.post("$closure", call("pets", version="0"))) == ("2", ["dog subsumes animal"])
