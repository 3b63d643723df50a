"""Snapshots of differentials; those that HL7 published are the table of cases."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hie.fhir import generate_structures, json_format, structures
from hie.fhir.snapshots import SnapshotError, generated
from hie.fhir.validation import validate
from tests.packages import generated_again

BASE = "http://hl7.org/fhir/StructureDefinition/"
Json = dict[str, Any]


class Known:
    """R4's definitions, and others."""

    def __init__(self, others: Iterable[Json] = ()) -> None:
        self._others = {one["url"]: one for one in others}

    def find(self, canonical: str) -> Json | None:
        url = canonical.partition("|")[0]
        return self._others.get(url) or structures.find(url)


def profile(type_name: str, *elements: Json, url: str = "http://example.org/p", base: str | None = None) -> Json:
    return {
        "resourceType": "StructureDefinition", "url": url, "name": "P", "status": "active", "abstract": False,
        "kind": "resource", "type": type_name, "baseDefinition": base or BASE + type_name, "derivation": "constraint",
        "differential": {"element": list(elements)}}  # fmt: skip


def of(path: str, **said: Any) -> Json:
    return {"id": path, "path": path, **said}


def a_slice(path: str, name: str, **said: Any) -> Json:
    return {"id": f"{path}:{name}", "path": path, "sliceName": name, **said}


def made(*elements: Json, type_name: str = "Patient", others: Iterable[Json] = (), **more: Any) -> dict[str, Json]:
    """Return the elements of a snapshot by id; it is valid."""
    found = generated(profile(type_name, *elements, **more), Known(others))
    assert [one for one in validate(found, "StructureDefinition") if one.severity == "error"] == []
    return {one["id"]: one for one in found["snapshot"]["element"]}


def types(element: Json) -> list[str]:
    return [one["code"] for one in element["type"]]


# ---- what a differential changes -------------------------------------------------------------------------------------


def test_what_is_not_named_stays_and_what_is_named_is_narrowed() -> None:
    base = {one["id"]: one for one in structures.find(BASE + "Patient")["snapshot"]["element"]}  # type: ignore[index]
    rule = {"key": "p-1", "severity": "error", "human": "x", "expression": "true"}
    found = made(of("Patient", constraint=[rule]), of("Patient.birthDate", min=1, short="Born", mustSupport=True,
                 definition="...As told by the mother.", isModifier=True, isModifierReason="x",
                 alias=["DOB"]))
    assert list(found) == list(base)
    born = found["Patient.birthDate"]
    assert (born["min"], born["max"], born["short"], born["mustSupport"]) == (1, "1", "Born", True)
    assert born["definition"] == "The date of birth for the individual.\nAs told by the mother."
    assert (born["isModifier"], born["alias"], born["base"]) == (False, ["DOB"], base["Patient.birthDate"]["base"])
    assert [(one["key"], one["source"]) for one in found["Patient"]["constraint"]][-2:] == [
        ("dom-6", BASE + "DomainResource"), ("p-1", "http://example.org/p")]
    again = base["Patient.contact"]["constraint"][-1] | {"expression": "name.exists()", "source": "http://x.org"}
    assert made(of("Patient.contact", constraint=[again]))["Patient.contact"]["constraint"] == [
        one | {"source": one.get("source", BASE + "Patient")} for one in base["Patient.contact"]["constraint"]]
    assert found["Patient.gender"] | {"short": ""} == base["Patient.gender"] | {"short": ""}
    assert "http://hl7.org/fhir/R4/extensibility.html" in found["Patient.modifierExtension"]["requirements"]


def test_data_types_are_unfolded_where_something_below_is_named() -> None:
    found = made(of("Patient.name.family", min=1), of("Patient.contact.name.family", max="0"),
                 of("Patient.deceased[x].extension", max="0"))
    assert (found["Patient.name.family"]["min"], found["Patient.name.given"]["min"]) == (1, 0)
    assert found["Patient.name.period"]["base"]["path"] == "HumanName.period"
    assert (found["Patient.contact.name.family"]["max"], found["Patient.contact.telecom"]["max"]) == ("0", "*")
    assert found["Patient.deceased[x].extension"]["max"] == "0"
    within = made(of("Questionnaire.item.item.linkId", short="x"), type_name="Questionnaire")
    assert within["Questionnaire.item.item.linkId"]["short"] == "x"
    assert "contentReference" not in within["Questionnaire.item.item"]
    assert within["Questionnaire.item.item.item"]["contentReference"] == "#Questionnaire.item"


def test_slices_are_made_of_the_element_that_they_slice() -> None:
    sliced = of("Observation.component", min=2, slicing={
        "discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"})
    found = made(sliced, a_slice("Observation.component", "high", max="1"),
                 {"id": "Observation.component:high.code", "path": "Observation.component.code", "short": "High"},
                 a_slice("Observation.component", "low", min=1), a_slice("Observation.component", "high/best"),
                 type_name="Observation")
    names = [one for one in found if one.startswith("Observation.component") and "." not in one[13:]]
    assert names == ["Observation.component", "Observation.component:high", "Observation.component:high/best",
                     "Observation.component:low"]
    high = found["Observation.component:high"]
    assert (high["min"], high["max"], high["sliceName"], "slicing" in high) == (0, "1", "high", False)
    assert (found["Observation.component"]["min"], found["Observation.component:low"]["min"]) == (2, 1)
    assert found["Observation.component:high.code"]["short"] == "High"
    assert found["Observation.component:low.code"]["short"] == found["Observation.component.code"]["short"]
    assert found["Observation.component:high/best"]["max"] == "1"
    again = made({"id": "Observation.component:low.code", "path": "Observation.component.code", "short": "Low"},
                 a_slice("Observation.component", "third"), type_name="Observation", base="http://example.org/p",
                 url="http://example.org/q", others=[profile("Observation", sliced, a_slice(
                     "Observation.component", "low", min=1))])
    assert again["Observation.component:low.code"]["short"] == "Low"
    assert (again["Observation.component:low"]["min"], "Observation.component:third" in again) == (1, True)


CHOICES: list[tuple[str, Json, str, list[str], str | None, int]] = [
    ("a value of one type", {"min": 1}, "closed", ["Quantity"], "Observation.value[x]:valueQuantity", 1),
    ("the type may be absent", {"short": "x"}, "open", [], "Observation.value[x]:valueQuantity", 0),
]


@pytest.mark.parametrize(("name", "said", "rules", "kept", "slice_", "least"), CHOICES)
def test_a_type_of_a_choice_may_be_named_by_itself(
    name: str, said: Json, rules: str, kept: list[str], slice_: str, least: int
) -> None:
    found = made(of("Observation.valueQuantity", **said), of("Observation.valueQuantity.unit", min=1),
                 type_name="Observation")
    whole = found["Observation.value[x]"]
    assert (whole["slicing"]["rules"], whole["min"]) == (rules, least)
    assert types(whole) == (kept or types(whole)) and (len(types(whole)) == 1) is bool(kept)  # noqa: PT018
    assert (types(found[slice_]), found[slice_]["path"]) == (["Quantity"], "Observation.value[x]")
    assert found[f"{slice_}.unit"]["min"] == 1
    dated = made(of("Observation.effectiveDateTime", min=1), type_name="Observation")
    assert types(dated["Observation.effective[x]:effectiveDateTime"]) == ["dateTime"]


def test_extensions_tell_what_their_profile_tells() -> None:
    extension = [{"code": "Extension", "profile": [BASE + "patient-birthPlace"]}]
    found = made(a_slice("Patient.extension", "place", type=extension, max="1"))
    place = found["Patient.extension:place"]
    assert (place["short"], place["max"], types(place)) == ("Place of Birth for patient", "1", ["Extension"])
    assert found["Patient.extension"]["slicing"]["discriminator"] == [{"type": "value", "path": "url"}]
    unknown = made(a_slice("Patient.extension", "x", type=[{"code": "Extension", "profile": ["http://x.org/no"]}]))
    assert unknown["Patient.extension:x"]["short"] == "Additional content defined by implementations"


REFUSED: list[tuple[str, list[Json], str, str]] = [
    ("unknown element", [of("Patient.nme")], "element[0]", "no such element"),
    ("unknown below a type", [of("Patient.name"), of("Patient.name.nick")], "element[1]", "no such element"),
    ("more than the base", [of("Patient.birthDate", max="2")], "element[0]", "max is 2"),
    ("a max that is none", [of("Patient.birthDate", max="many")], "element[0]", "max is 'many'"),
    ("less than the base", [of("Patient.link.type", min=0)], "element[0]", "min is 0"),
    ("more than the base's max", [of("Patient.gender", min=2)], "element[0]", "min is 2, more than max, 1"),
    ("none of what the base demands", [of("Patient.link.type", max="0")], "element[0]", "min is 1, more than max, 0"),
    ("another type", [of("Patient.birthDate", type=[{"code": "Period"}])], "element[0]", "none of the base's"),
    ("slices of nothing", [a_slice("Patient.name", "official")], "element[0]", "nothing says how slices"),
    ("twice", [of("Patient.name"), of("Patient.name")], "element[1]", "is there twice"),
    ("another root", [of("Person.name")], "element[0]", "its base of Patient"),
    ("below an id", [of("Patient.id.extension.url.x")], "element[0]", "nothing below"),
    ("an unknown profile", [of("Patient.name", type=[{"code": "HumanName", "profile": ["http://x.org/no"]}]),
                            of("Patient.name.family", min=1)], "element[0]", "http://x.org/no, which is not known"),
    ("an invariant in the place of another", [of("Patient.contact", constraint=[
        {"key": "pat-1", "severity": "error", "human": "named", "expression": "name.exists()"}])],
     "element[0]", "pat-1 is the base's, of which it says: SHALL at least contain a contact's details"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "elements", "place", "text"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_no_snapshot_can_be_made_of_is_told_with_its_place(
    name: str, elements: list[Json], place: str, text: str
) -> None:
    with pytest.raises(SnapshotError, match=text) as raised:
        generated(profile("Patient", *elements), Known())
    assert raised.value.issues[0].expression == f"StructureDefinition.differential.{place}"


def test_profiles_that_lead_to_one_another_and_large_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = [profile("Patient", url="http://x.org/a", base="http://x.org/b"),
              profile("Patient", url="http://x.org/b", base="http://x.org/a")]
    with pytest.raises(SnapshotError, match="lead to one another"):
        generated(circle[0], Known(circle))
    with pytest.raises(SnapshotError, match=r"http://x\.org/b is not known here"):
        generated(circle[0], Known())
    with pytest.raises(SnapshotError, match="of which derivation is constraint"):
        generated(profile("Patient") | {"derivation": "specialization"}, Known())
    deep = profile("Questionnaire", of("Questionnaire" + ".item" * 45 + ".text", min=1))
    with pytest.raises(SnapshotError, match="at most 40 parts"):
        generated(deep, Known())
    with pytest.raises(SnapshotError, match="has 2001 elements"):
        generated(profile("Patient", *(of(f"Patient.x{n}") for n in range(2001))), Known())
    monkeypatch.setattr("hie.fhir.snapshots.generating.MOST_ELEMENTS", 10)
    with pytest.raises(SnapshotError, match="more than 10 elements"):
        generated(profile("Patient"), Known())


def test_elements_without_ids_are_those_of_the_slice_before_them_at_any_depth() -> None:
    coding, system = "Observation.code.coding", "Observation.code.coding.system"
    by_system = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    named = [of(coding, slicing=by_system), a_slice(coding, "loinc", min=1),
             {"id": f"{coding}:loinc.system", "path": system, "min": 1, "fixedUri": "http://loinc.org"},
             a_slice(coding, "own"), {"id": f"{coding}:own.system", "path": system, "min": 1},
             of("Observation.code.text", min=1)]  # fmt: skip
    without = [{name: one for name, one in row.items() if name != "id"} for row in named]
    found, wanted = (generated(profile("Observation", *rows), Known())["snapshot"] for rows in (without, named))
    assert found == wanted


@pytest.mark.parametrize("said", [{"min": 0}, {"definition": "...more"}], ids=["told again", "told further"])
def test_what_slices_say_again_is_counted(said: Json) -> None:
    """Else a text of 30 kB in the base and 1,500 slices made 45 MB."""
    base = profile("Patient", of("Patient.identifier", definition="x" * 30_000), url="http://x.org/base")
    by_system = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    slices = [a_slice("Patient.identifier", f"s{n}", **said) for n in range(1_500)]
    large = profile("Patient", of("Patient.identifier", slicing=by_system), *slices, base="http://x.org/base")
    with pytest.raises(SnapshotError, match="or 20000000 bytes") as raised:
        generated(large, Known([base]))
    assert raised.value.issues[0].code == "too-costly"


def test_what_a_list_has_already_is_not_added_however_long_it_is() -> None:
    known, more = ([f"{letter}{n}" for n in range(10_000)] for letter in "ab")
    base = profile("Patient", of("Patient", alias=known), url="http://x.org/base")
    made_of = generated(profile("Patient", of("Patient", alias=[*more, "a1", "b1"]), base="http://x.org/base"),
                        Known([base]))
    assert made_of["snapshot"]["element"][0]["alias"][-20_000:] == [*known, *more]


def test_elements_of_all_definitions_that_are_read_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = profile("Patient", *(
        a_slice("Patient.extension", name, type=[{"code": "Extension", "profile": [BASE + name]}])
        for name in ("patient-birthPlace", "patient-birthTime", "patient-religion")))  # fmt: skip
    assert len(generated(definition, Known())["snapshot"]["element"]) == 48
    monkeypatch.setattr("hie.fhir.snapshots.generating.MOST_READ", 55)  # Patient's 45, and two of five
    with pytest.raises(SnapshotError, match="have more than 55 elements") as raised:
        generated(definition, Known())
    assert raised.value.issues[0].code == "too-costly"


# ---- what was published ----------------------------------------------------------------------------------------------


def test_the_archive_generated_again_is_the_one_committed(shared_data: Path) -> None:
    members = generated_again(generate_structures, structures.ARCHIVE, shared_data)
    assert structures._member("index") == members["index"]


#: What says which resources conform; the words that people read are put together by rules of each publisher's.
COMPARED = ("min", "max", "type", "binding", "slicing", "mustSupport", "constraint", "sliceName", "fixed", "pattern")


def _compared(element: Json) -> Json:
    found = {name: value for name, value in element.items() if name.startswith(COMPARED)}
    found["constraint"] = sorted(one["key"] for one in element.get("constraint", []))
    found["mustSupport"] = element.get("mustSupport", False)
    found["binding"] = [element.get("binding", {}).get(name) for name in ("strength", "valueSet")]
    found["slicing"] = [element.get("slicing", {}).get(name) for name in ("discriminator", "rules")]
    told = ("code", "profile", "targetProfile")
    found["type"] = [[one.get(name) for name in told] for one in element.get("type", [])]
    return found


def _same(mine: Json, theirs: Json) -> bool:
    rows = ([(one["id"], _compared(one)) for one in both["snapshot"]["element"]] for both in (mine, theirs))
    return next(rows) == next(rows)


def test_the_snapshots_of_the_specification_are_made_again() -> None:
    """Others: 12 leave a type open that R4's publisher closed where a value may be absent, as later ones do not; one
    has an extension as often as its definition allows.
    """
    count = Counter[str]()
    for url in structures.index():
        theirs = structures.find(url)
        assert theirs is not None
        if theirs.get("derivation") == "constraint":
            try:
                count["same" if _same(generated(theirs, Known()), theirs) else "other"] += 1
            except SnapshotError:
                count["refused"] += 1
    assert count == {"same": 422, "other": 16, "refused": 1}


PUBLISHED = {"us.core-3.1.1": (24, 6, 0), "us.core-6.1.0": (58, 0, 1), "us.core-7.0.0": (62, 0, 1),
             "us.core-8.0.0": (62, 4, 1), "uv.ips-1.1.0": (34, 2, 0)}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_snapshots_of_published_packages_are_made_again(name: str, shared_data: Path) -> None:
    """Same, others, and refused: of those that are refused the base is in another package."""
    file = shared_data / "definitions" / f"hl7.fhir.{name}.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    profiles = _profiles(file)
    count = Counter[str]()
    for theirs in profiles:
        try:
            count["same" if _same(generated(theirs, Known(profiles)), theirs) else "other"] += 1
        except SnapshotError:
            count["refused"] += 1
    assert (count["same"], count["other"], count["refused"]) == PUBLISHED[name]


def _profiles(file: Path) -> list[Json]:
    with tarfile.open(file) as archive:
        files = (archive.extractfile(one) for one in archive if one.name.startswith("package/StructureDefinition-"))
        found = [json_format.parse(one.read()) for one in files if one is not None]
    return [one for one in found if one.get("derivation") == "constraint" and "snapshot" in one]
