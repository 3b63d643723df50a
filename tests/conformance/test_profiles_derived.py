"""Profiles that are stored with a differential alone: over R4, over installed packages, over one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zstandard import ZstdCompressor

from hie.fhir import json_format
from hie.fhir.profiles import read
from hie.store import packages
from hie.store.packages import REMEMBERED_MICROSECONDS
from tests.builders import bundle, parameters, patient, post
from tests.packages import BASE, element, manifest, profile, slicing, tarball
from tests.unit.fhir.test_snapshots import a_slice, of
from tests.unit.fhir.test_snapshots import profile as differential

R4 = "http://hl7.org/fhir/StructureDefinition/"
US = "http://hl7.org/fhir/us/core/StructureDefinition/"
CLINIC, WARD = BASE + "clinic", BASE + "ward"
Json = dict[str, Any]


def derived(url: str, base: str, *elements: Json, **more: Any) -> Json:
    return {**differential("Patient", *elements, url=url, base=base), "version": "1.0.0", **more}


def constraint(key: str, expression: str) -> Json:
    return {"key": key, "severity": "error", "human": f"{key} has to hold", "expression": expression}


def errors(answer: Any) -> set[tuple[str, str]]:
    assert answer.status == 200, answer.content
    return {(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == "error"}


def told(answer: Any, code: str) -> str:
    return " ".join(one["diagnostics"] for one in answer.json["issue"] if one["code"] == code)


@pytest.mark.proves("operation:any/$validate")
def test_a_profile_over_us_core_is_asked_with_all_that_it_and_its_base_say(
    fhir: Any, install: Any, treat: Any, shared_data: Path
) -> None:
    install((shared_data / "definitions" / "hl7.fhir.us.core-6.1.0.tgz").read_bytes())
    made = fhir.create(derived(
        CLINIC, US + "us-core-patient",
        of("Patient", constraint=[constraint("clinic-1", "telecom.exists() or contact.exists()")]),
        of("Patient.identifier", slicing=slicing(("value", "system"))),
        a_slice("Patient.identifier", "mrn", min=1, max="1"),
        {"id": "Patient.identifier:mrn.system", "path": "Patient.identifier.system", "min": 1, "fixedUri": "urn:mrn"},
        of("Patient.active", min=1, fixedBoolean=True),
        of("Patient.maritalStatus", min=1, mustSupport=True, binding={
            "strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"}),
        of("Patient.photo", max="0"), of("Patient.contact", mustSupport=True),
    ))  # fmt: skip
    assert "snapshot" not in made
    named = f"Patient/$validate?profile={CLINIC}"
    gender = {"system": "http://hl7.org/fhir/administrative-gender", "code": "female"}
    good = patient(
        active=True, gender="female", meta={"profile": [CLINIC]},
        identifier=[{"system": "urn:mrn", "value": "1"}, {"system": "urn:x", "value": "2"}],
        telecom=[{"system": "phone", "value": "1"}], maritalStatus={"coding": [gender]},
    )  # fmt: skip
    answer = fhir.post(named, good)
    assert errors(answer) == set()
    assert "wants supported there is no Patient.telecom.use, Patient.address, Patient.contact." in told(
        answer, "informational")
    for change, expected in (
        ({"telecom": None}, ("invariant", "Patient")),
        ({"active": False}, ("value", "Patient.active")),
        ({"active": None}, ("required", "Patient.active")),
        ({"photo": [{"url": "http://x.org/1"}]}, ("structure", "Patient.photo")),
        ({"identifier": [{"system": "urn:x", "value": "2"}]}, ("required", "Patient.identifier")),
        ({"identifier": [{"system": "urn:mrn", "value": "1"}] * 2}, ("structure", "Patient.identifier")),
        ({"maritalStatus": {"coding": [gender | {"code": "married"}]}}, ("code-invalid", "Patient.maritalStatus")),
        ({"name": None}, ("required", "Patient.name")),  # US Core's own
        ({"identifier": [{"system": "urn:mrn"}]}, ("required", "Patient.identifier[0].value")),  # in its slice, too
        ({"extension": [{"url": US + "us-core-birthsex", "valueString": "F"}]},
         ("structure", "Patient.extension[0].value")),
    ):  # fmt: skip
        wrong = {name: value for name, value in (good | change).items() if value is not None}
        assert errors(fhir.post(named, wrong)) == {expected}, change
    treat("reject")
    fhir.post("Patient", good | {"active": False}).refused(422, "value", "Patient.active")
    fhir.post("", bundle(post(good), post(good | {"active": False}))).refused(
        422, "value", "Bundle.entry[1].resource.active")
    assert fhir.post("Patient", good).status == 201
    whole = fhir.get(f"StructureDefinition/{made['id']}/$snapshot").json["snapshot"]["element"]
    found = {one["id"]: one for one in whole}
    assert found["Patient"]["short"] == "Information about an individual or animal receiving health care services"
    assert found["Patient.identifier:mrn.system"]["fixedUri"] == "urn:mrn"
    assert found["Patient.extension:race"]["type"][0]["profile"] == [US + "us-core-race"]


OWN = profile("own", "Patient", element("Patient.telecom", min=1, type=[{"code": "ContactPoint"}],
              short="How to reach", definition="How to reach them"))  # fmt: skip
OWN["snapshot"]["element"][0] |= {"definition": "A patient of ours", "short": "Ours"}


def test_profiles_stand_on_one_another_and_follow_their_bases(fhir: Any, install: Any) -> None:
    install(tarball(OWN))
    base = fhir.create(derived(CLINIC, OWN["url"], of("Patient.telecom", max="1")))
    fhir.create(derived(WARD, CLINIC, of("Patient.telecom.rank", min=1)))
    named = f"Patient/$validate?profile={WARD}"
    assert errors(fhir.post(named, patient())) == {("required", "Patient.telecom")}
    two = patient(telecom=[{"system": "phone", "rank": 1}, {"system": "email"}])
    assert errors(fhir.post(named, two)) == {("structure", "Patient.telecom"), ("required", "Patient.telecom[1].rank")}
    fhir.put(f"StructureDefinition/{base['id']}",
             derived(CLINIC, OWN["url"], of("Patient.telecom", max="2"), id=base["id"]))  # fmt: skip
    assert errors(fhir.post(named, two)) == {("required", "Patient.telecom[1].rank")}
    fhir.delete(f"StructureDefinition/{base['id']}")
    answer = fhir.post(named, two)
    answer.refused(400, "not-supported", "profile", f"The base definition {CLINIC} is not known here")
    declared = fhir.post("Patient/$validate", two | {"meta": {"profile": [WARD]}})
    assert errors(declared) == set()
    assert f"The base definition {CLINIC} is not known here" in told(declared, "not-found")
    fhir.create(derived(CLINIC, WARD, of("Patient")))
    fhir.post(named, two).refused(400, "not-supported", "profile", f"{WARD} > {CLINIC} > {WARD}")


def test_what_cannot_be_made_is_told_and_stored_all_the_same(fhir: Any, treat: Any) -> None:
    treat("reject")
    declaring = patient(meta={"profile": [CLINIC]})
    for number, (definition, words) in enumerate((
        (derived(CLINIC, US + "nobody", of("Patient")), f"The base definition {US}nobody is not known here"),
        (derived(CLINIC, R4 + "Patient", of("Patient.nme")), "Patient.nme: the base has no such element here"),
        (derived(CLINIC, R4 + "Patient", of("Patient", constraint=[constraint("c-1", "name.(")])), "no FHIRPath"),
        (derived(CLINIC, R4 + "Patient", of("Patient.extension.value[x].start")), "no such element"),
    )):  # fmt: skip
        fhir.put("StructureDefinition/p", definition | {"id": "p"})
        answer = fhir.post(f"Patient/$validate?profile={CLINIC}", patient())
        answer.refused(400, "not-supported", "profile", words)
        stored = fhir.post("Patient", declaring | {"id": f"x{number}"}, Prefer="return=OperationOutcome")
        assert stored.status == 201
        assert words in told(stored, "not-found"), words


def test_a_base_that_the_token_may_not_see_is_none_for_it(fhir: Any, client: Any, treat: Any) -> None:
    """Whoever asked first: what is kept of a profile is good only where its bases are what they were."""
    hidden = fhir.create(derived(CLINIC, R4 + "Patient", of("Patient.telecom", min=1), status="draft"))
    fhir.create(derived(WARD, CLINIC, of("Patient.photo", min=1)))
    some = client("system/Patient.cruds", "system/StructureDefinition.rs?status=active")
    named = f"Patient/$validate?profile={WARD}"
    for _ in range(2):
        assert errors(fhir.post(named, patient())) == {("required", "Patient.telecom"), ("required", "Patient.photo")}
        refused = some.post(named, patient())
        refused.refused(400, "not-supported", "profile", f"The base definition {CLINIC} is not known here")
    treat("reject")
    declaring = patient(meta={"profile": [WARD]})
    before = some.post("Patient/$validate", declaring)
    fhir.post("Patient", declaring).refused(422, "required", "Patient.telecom")
    assert some.post("Patient", declaring).status == 201
    some.post("StructureDefinition/$snapshot", derived(BASE + "x", WARD, of("Patient"))).refused(
        422, "not-found", "StructureDefinition.baseDefinition", f"{WARD}: The base definition {CLINIC} is not known")
    fhir.delete(f"StructureDefinition/{hidden['id']}")
    assert some.post(named, patient()).content == refused.content, "what is hidden is as what is not there"
    assert some.post("Patient/$validate", declaring).content == before.content
    blind = client("system/Patient.cruds")
    unknown = blind.post(named.replace("ward", "nobody"), patient())
    assert blind.post(named, patient()).content == unknown.content.replace(b"nobody", b"ward")


def test_a_stored_base_neither_helps_nor_changes_what_is_installed(fhir: Any, install: Any) -> None:
    install(tarball(derived(WARD, CLINIC, of("Patient.photo", min=1))))
    fhir.create(derived(CLINIC, R4 + "Patient", of("Patient.telecom", min=1)))
    fhir.post(f"Patient/$validate?profile={WARD}", patient()).refused(
        400, "not-supported", "profile", f"The base definition {CLINIC} is not known here")
    install(tarball(derived(CLINIC, R4 + "Patient", of("Patient.contact", min=1)), package=manifest("a.base")))
    assert errors(fhir.post(f"Patient/$validate?profile={WARD}", patient())) == {
        ("required", "Patient.contact"), ("required", "Patient.photo")}
    assert WARD in fhir.get("metadata").content.decode()


@pytest.mark.proves("operation:StructureDefinition/$snapshot")
def test_snapshots_are_made_of_installed_profiles_and_of_those_that_came_without(fhir: Any, install: Any) -> None:
    install(tarball(OWN, derived(CLINIC, OWN["url"], of("Patient.telecom", max="3", short="Three"))))
    as_published = fhir.get(f"StructureDefinition/$snapshot?url={OWN['url']}").json
    assert as_published["snapshot"] == OWN["snapshot"]
    for answer in (
        fhir.get(f"StructureDefinition/$snapshot?url={CLINIC}"),
        fhir.post("StructureDefinition/$snapshot", derived(BASE + "x", CLINIC, of("Patient"))),
        fhir.post("StructureDefinition/$snapshot", parameters(url=("String", CLINIC + "|1.0.0"))),
    ):
        found = {one["id"]: one for one in answer.json["snapshot"]["element"]}
        assert found["Patient"]["definition"] == "A patient of ours"
        telecom = found["Patient.telecom"]
        assert (telecom["min"], telecom["max"], telecom["short"]) == (1, "3", "Three")
    assert answer.json["baseDefinition"] == OWN["url"], "as its author wrote it"


def test_a_package_of_an_earlier_version_is_installed_again_with_all_that_it_says(
    app: Any, fhir: Any, install: Any, clock: Any
) -> None:
    content = tarball(OWN, derived(CLINIC, OWN["url"], of("Patient.telecom", max="1")))
    install(content)
    store = app.extensions["hie"].store
    first = ZstdCompressor().compress(json_format.dump(list(read(tarball(OWN)).resources)))

    def downgrade(connection: Any) -> None:
        connection.execute(packages.update(packages.package).values(content=first, installed=0))

    store.database.write(downgrade)
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    over = derived(BASE + "x", OWN["url"], of("Patient"))
    fhir.post("StructureDefinition/$snapshot", over).refused(
        422, "not-found", "StructureDefinition.baseDefinition", "install its package again")
    fhir.get(f"StructureDefinition/$snapshot?url={OWN['url']}").refused(404, "not-found", "url", "install its package")
    fhir.create(derived(WARD, OWN["url"], of("Patient.telecom", max="1")))
    assert errors(fhir.post(f"Patient/$validate?profile={WARD}", patient())) == {
        ("required", "Patient.telecom")}
    fhir.post(f"Patient/$validate?profile={CLINIC}", patient()).refused(400, "not-supported", "profile")
    install(content)
    assert fhir.post("StructureDefinition/$snapshot", over).status == 200
    assert errors(fhir.post(f"Patient/$validate?profile={CLINIC}", patient())) == {
        ("required", "Patient.telecom")}


def test_what_stored_profiles_are_made_of_is_bounded(fhir: Any, treat: Any) -> None:
    """One validation makes no more than one snapshot may be; what was told of too much is not kept."""
    wide = [a_slice("Patient.contact", f"s{at}", min=0) for at in range(300)]
    for name in "abcdefgh":
        fhir.create(derived(BASE + name, R4 + "Patient", of("Patient.contact", slicing=slicing(("value", "gender"))),
                            *wide, of("Patient.photo", min=1)))  # fmt: skip
    many = patient(meta={"profile": [BASE + name for name in "abcdefgh"]})
    first = fhir.post("Patient/$validate", many)
    assert ("required", "Patient.photo") in errors(first)
    assert "20000 elements" in told(first, "not-found")
    second = fhir.post("Patient/$validate", many)
    third = fhir.post("Patient/$validate", many)
    assert told(first, "not-found").count("20000") > told(second, "not-found").count("20000")
    assert "20000" not in told(third, "not-found")
