"""StructureDefinitions that clients stored are profiles for tokens that see them, and behind what is installed."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir.profiles import checking, read
from hie.store import packages
from tests.builders import bundle, entry, parameters, patient, post
from tests.growth import Work, growth
from tests.packages import BASE, element, profile, tarball

URL = BASE + "phoned"
NAMED = f"Patient/$validate?profile={URL}"
GOOD = patient(meta={"profile": [URL]}, telecom=[{"system": "phone", "value": "1"}])
BAD = patient(meta={"profile": [URL]})


def stored(definition: Any, **more: Any) -> Any:
    """Make of a definition of the tests' packages one that R4's own rules accept."""
    kind = definition["type"]
    elements = [{"definition": "x", "base": {"path": one["path"], "min": 0, "max": "*"}, **one}
                for one in definition["snapshot"]["element"]]
    base = f"http://hl7.org/fhir/StructureDefinition/{kind}"
    return {**definition, "snapshot": {"element": elements}, "baseDefinition": base, **more}


PHONED = stored(profile("phoned", "Patient", element("Patient.telecom", min=1)))


def issues(answer: Any, severity: str = "error") -> list[tuple[str, str]]:
    assert answer.status == 200, answer.content
    return [(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == severity]


@pytest.mark.proves("operation:any/$validate")
def test_a_stored_profile_is_validated_against_in_the_version_that_is_meant(fhir: Any) -> None:
    fhir.post(NAMED, patient()).refused(400, "not-supported", "profile", "nor is it stored")
    fhir.create(PHONED)
    assert issues(fhir.post(NAMED, patient())) == [("required", "Patient.telecom")]
    assert issues(fhir.post(NAMED, GOOD)) == []
    assert issues(fhir.post("Patient/$validate", BAD)) == [("required", "Patient.telecom")]
    newer = stored(profile("phoned", "Patient", element("Patient.photo", min=1), version="1.10.0"))
    made = fhir.create(newer)
    assert issues(fhir.post(NAMED, patient())) == [("required", "Patient.photo")]
    assert issues(fhir.post(NAMED + "|1.0.0", patient())) == [("required", "Patient.telecom")]
    fhir.post(NAMED + "|3", patient()).refused(400, "not-supported", "profile")
    fhir.delete(f"StructureDefinition/{made['id']}")
    assert issues(fhir.post(NAMED, patient())) == [("required", "Patient.telecom")]


def test_what_declares_a_stored_profile_is_judged_on_write(fhir: Any, treat: Any) -> None:
    fhir.create(PHONED)
    assert fhir.post("Patient", BAD).status == 201
    treat("warn")
    told = fhir.post("Patient", BAD, Prefer="return=OperationOutcome").json["issue"]
    assert [(one["severity"], one["code"]) for one in told if one["code"] == "required"] == [("warning", "required")]
    treat("reject")
    fhir.post("Patient", BAD).refused(422, "required", "Patient.telecom")
    assert fhir.post("Patient", GOOD).status == 201
    fhir.post("", bundle(post(GOOD), post(BAD))).refused(422, "required", "Bundle.entry[1].resource.telecom")
    batch = fhir.post("", bundle(post(GOOD), entry("POST", "Patient", BAD), type_="batch")).json["entry"]
    assert [one["response"]["status"][:3] for one in batch] == ["201", "422"]


def test_a_profile_that_the_token_may_not_see_is_none_for_it(fhir: Any, client: Any, treat: Any) -> None:
    fhir.create(PHONED)
    treat("reject")
    for scopes in (("system/Patient.cruds",), ("system/Patient.cruds", "system/StructureDefinition.cr"),
                   ("system/Patient.cruds", "system/StructureDefinition.rs?status=draft")):
        blind = client(*scopes, name=" ".join(scopes))
        refused = blind.post(NAMED, patient())
        refused.refused(400, "not-supported", "profile", "nor is it stored")
        unknown = blind.post(NAMED.replace("phoned", "nobody"), patient())
        assert unknown.content.replace(b"nobody", b"phoned") == refused.content
        assert blind.post("Patient", BAD).status == 201
        told = blind.post("Patient/$validate", BAD).json["issue"]
        assert not any("telecom" in one["diagnostics"] for one in told)
    seeing = client("system/Patient.cruds", "system/StructureDefinition.rs?status=active")
    seeing.post("Patient", BAD).refused(422, "required", "Patient.telecom")


UNKNOWN = {"modifierExtension": [{"url": "urn:x:not", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({name: one for name, one in PHONED.items() if name != "snapshot"} | {"baseDefinition": BASE + "nobody"}
         | {"differential": {"element": [{"id": "Patient", "path": "Patient"}]}}, f"{BASE}nobody is not known here"),
        (stored(profile("phoned", "Patient", element("Patient.colour"))), "'Patient.colour': R4 has no such element"),
        (stored(profile("phoned", "Patient"), derivation="specialization"), "is no profile"),
        ({**PHONED, "implicitRules": "urn:x"}, "what these make of it"),
        ({**PHONED, **UNKNOWN}, "what these make of it"),
        (stored(profile("phoned", "Patient", element("Patient.active", min=1, **UNKNOWN))), "what these make of it"),
    ],
    ids=["no base", "nonsense", "no profile", "rules", "modifiers", "modifiers of an element"],
)  # fmt: skip
def test_one_that_cannot_be_used_is_told_why(fhir: Any, treat: Any, definition: Any, words: str) -> None:
    id_ = fhir.create(definition)["id"]
    fhir.post(NAMED, patient()).refused(400, "not-supported", "profile", words)
    treat("reject")
    told = fhir.post("Patient", BAD, Prefer="return=OperationOutcome")
    assert told.status == 201
    assert any(f"StructureDefinition/{id_}" in one["diagnostics"] for one in told.json["issue"])


def test_stored_extensions_are_judged_by_their_definitions(fhir: Any) -> None:
    for name in ("seen", "changed"):
        value = element("Extension.value[x]", types="boolean", min=1, max="1")
        fhir.create(stored(profile(name, "Extension", element("Extension.url"), value,
                                   context=[{"type": "element", "expression": "Patient"}])))  # fmt: skip
    right = patient(extension=[{"url": BASE + "seen", "valueBoolean": True}],
                    modifierExtension=[{"url": BASE + "changed", "valueBoolean": True}])  # fmt: skip
    answer = fhir.post("Patient/$validate", right)
    assert issues(answer) == []
    assert not any(code == "extension" for code, _ in issues(answer, "warning"))  # it is defined
    wrong = patient(extension=[{"url": BASE + "seen", "valueString": "x"}, {"url": BASE + "other", "valueCode": "x"}],
                    contact=[{"gender": "male", "name": {"text": "x"},
                              "extension": [{"url": BASE + "seen", "valueBoolean": True}]}])  # fmt: skip
    answer = fhir.post("Patient/$validate", wrong)
    assert sorted(set(issues(answer))) == [
        ("extension", "Patient.contact[0].extension[0]"), ("structure", "Patient.extension[0].value"),
    ]  # fmt: skip
    assert any(BASE + "other" in one["diagnostics"] and BASE + "seen" not in one["diagnostics"]
               for one in answer.json["issue"])


def test_a_stored_definition_neither_changes_nor_exhausts_what_is_installed(
    app: Any, fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All expressions of a client's definition together have what may be looked at, and no time is counted here."""
    monkeypatch.setattr(checking, "MAX_SECONDS", 600.0)
    monkeypatch.setattr(checking, "MAX_LOOKED_AT", 10_000)
    store = app.extensions["hie"].store
    installed = profile("phoned", "Patient", element("Patient.photo", min=1))
    store.database.write(lambda connection: packages.add(connection, read(tarball(installed)), 0))
    fhir.create(PHONED)  # the same URL and version, with another rule
    slow = "(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9).repeat($this + 1).count() > 0"
    treat("reject")

    def judged(number: int) -> Work:
        costly = [{"key": f"x-{at}", "severity": "error", "human": "x", "expression": slow} for at in range(number)]
        fhir.create(stored(profile(f"costly{number}", "Patient", element("Patient.name", constraint=costly))))
        hostile = patient(meta={"profile": [f"{BASE}costly{number}", URL]})

        def work() -> None:
            refused = fhir.post("Patient", hostile)
            refused.refused(422, "required", "Patient.photo")
            assert "telecom" not in refused.content.decode()

        return work

    assert growth(judged, 10) < 2


def test_where_nothing_is_stored_a_validation_asks_once(app: Any, fhir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from hie.store import stored_profiles

    asked: list[Any] = []
    search = stored_profiles.engine.search
    monkeypatch.setattr(stored_profiles.engine, "search",
                        lambda store, query: asked.append(query.type) or search(store, query))  # fmt: skip
    many = patient(extension=[{"url": f"http://example.org/{at}", "valueCode": "x"} for at in range(50)])
    assert issues(fhir.post("Patient/$validate", many)) == []
    assert asked == ["StructureDefinition"]
    fhir.create(PHONED)
    asked.clear()
    many["extension"] *= 5
    many["extension"] += [{"url": f"http://example.org/more/{at}", "valueCode": "x"} for at in range(300)]
    answer = fhir.post("Patient/$validate", many)
    assert issues(answer) == [("too-costly", "Patient")]
    assert "Name fewer in one resource" in answer.json["issue"][0]["diagnostics"]
    assert len(asked) <= stored_profiles.MOST_LOOKED_UP + 1


def asked(client: Any, expression: str, resource: Any) -> list[bool] | int:
    """Evaluate by $fhirpath; the Booleans found, or the status of a refusal."""
    answer = client.post("$fhirpath", parameters(expression=("String", expression), resource=resource))
    if answer.status != 200:
        return int(answer.status)
    return [one["valueBoolean"] for one in answer.json["parameter"][1]["part"] if "valueBoolean" in one]


def test_conforms_to_asks_installed_and_stored_profiles_under_the_grant(app: Any, fhir: Any, client: Any) -> None:
    store = app.extensions["hie"].store
    named = profile("named", "Patient", element("Patient.photo", max="0"))
    official = profile("official", "HumanName", element("HumanName.use", min=1), kind="complex-type")
    again = f"conformsTo('{BASE}self') and conformsTo('{BASE}named')"
    itself = profile("self", "Patient", element("Patient.name"))
    itself["snapshot"]["element"][0]["constraint"] = [
        {"key": "x-1", "severity": "error", "human": "x", "expression": again}]  # fmt: skip
    content = tarball(named, official, itself)
    store.database.write(lambda connection: packages.add(connection, read(content), 0))
    fhir.create(PHONED)
    two = {**GOOD, "name": [{"family": "A", "use": "official"}, {"family": "B"}], "contained": [patient(id="c")]}
    for expression, found in {
        f"conformsTo('{URL}')": [True], f"conformsTo('{URL}|1.0.0')": [True], f"conformsTo('{URL}|2')": [],
        f"conformsTo('{BASE}named')": [True], f"conformsTo('{BASE}nobody')": [],
        f"name[0].conformsTo('{BASE}official')": [True], f"name[1].conformsTo('{BASE}official')": [False],
        f"name.conformsTo('{BASE}official')": [], f"name.all($this.conformsTo('{BASE}official'))": [False],
        f"contained[0].conformsTo('{URL}')": [False], f"'a'.conformsTo('{URL}')": [], f"{{}}.conformsTo('{URL}')": [],
        f"conformsTo('{BASE}self')": [True],  # asks for itself, which is not decided, and for another
    }.items():  # fmt: skip
        assert asked(fhir, expression, two) == found, expression
    assert asked(fhir, f"conformsTo('{URL}')", patient()) == [False]
    assert asked(fhir, "conformsTo(id)", patient()) == 400
    blind = client("system/Patient.cruds")
    assert asked(blind, f"conformsTo('{URL}')", two) == asked(blind, f"conformsTo('{BASE}nobody')", two) == []
    assert asked(blind, f"conformsTo('{BASE}named')", two) == [True]
    photographed = {**two, "photo": [{"url": "http://example.org/p"}]}
    assert asked(fhir, f"conformsTo('{BASE}self')", photographed) == [False]
    refused = fhir.post("SearchParameter", {
        "resourceType": "SearchParameter", "url": "http://example.org/p", "name": "p", "status": "active", "code": "p",
        "description": "p", "base": ["Patient"], "type": "string",
        "expression": f"Patient.name.where(conformsTo('{BASE}official')).family"})  # fmt: skip
    refused.refused(422, "processing", "SearchParameter.expression")
