"""Profiles that come with a differential alone are judged by as those with a snapshot are.

The packages that HL7 published with snapshots are the table of cases: without them the verdicts are the same.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hie.fhir.profiles import Library, conformance, read
from hie.fhir.profiles.terminology import asked_by
from tests.builders import patient
from tests.packages import BASE, manifest, profile, tarball
from tests.unit.fhir.test_profiles_official import _contents
from tests.unit.fhir.test_snapshots import of
from tests.unit.fhir.test_snapshots import profile as differential

Json = dict[str, Any]
R4 = "http://hl7.org/fhir/StructureDefinition/"


def derived(name: str, base: str, *elements: Json, **more: Any) -> Json:
    return differential("Patient", *elements, url=BASE + name, base=base, **more) | {"version": "1.0.0"}


def errors(library: Library, name: str, resource: Json) -> list[tuple[str, str]]:
    found = conformance(resource, [BASE + name], library, asked_by(library))
    return [(one.code, one.expression) for one in found if one.severity == "error"]


def test_a_package_of_differentials_is_used_whatever_its_profiles_stand_on() -> None:
    """R4, another profile of the package, its own first where several packages have it, another package's."""
    loud = derived("loud", R4 + "Patient", of("Patient.telecom", min=1))
    louder = derived("louder", BASE + "loud", of("Patient.telecom.rank", min=1))
    one = read(tarball(loud, louder))
    other = profile("loud", "Patient", {"id": "Patient.photo", "min": 1, "max": "1", "type": [{"code": "Attachment"}]},
                    version="2.0.0")
    two = read(tarball(other, package=manifest("example.others")))
    calm = read(tarball(derived("calm", BASE + "loud", of("Patient.photo.title", min=1)), package=manifest("a.calm")))
    library = Library([one, two, calm])
    heard = patient(telecom=[{"system": "phone"}])
    assert errors(library, "louder", heard) == [("required", "Patient.telecom[0].rank")]
    assert errors(library, "louder", patient()) == [("required", "Patient.telecom")]
    assert errors(library, "calm", patient()) == [("required", "Patient.photo")]
    assert errors(library, "calm", patient(photo=[{}])) == [("required", "Patient.photo[0].title")]
    assert library.reason(BASE + "louder") is None


def test_what_has_no_base_or_no_end_is_told_and_what_is_installed_later_helps() -> None:
    lone = read(tarball(derived("lone", BASE + "loud|1.0.0", of("Patient.photo", min=1))))
    library = Library([lone])
    assert library.find(BASE + "lone") is None
    assert f"The base definition {BASE}loud|1.0.0 is not known here" in str(library.reason(BASE + "lone"))
    found = conformance(patient(meta={"profile": [BASE + "lone"]}), (), library, asked_by(library))
    assert [(one.severity, one.code) for one in found if BASE + "loud" in one.diagnostics] == [("warning", "not-found")]
    loud = derived("loud", R4 + "Patient", of("Patient.telecom", min=1))
    helped = Library([lone, read(tarball(loud, package=manifest("example.others")))])
    assert errors(helped, "lone", patient()) == [("required", "Patient.telecom"), ("required", "Patient.photo")]
    circle = [derived("a", BASE + "b", of("Patient")), derived("b", BASE + "a", of("Patient"))]
    told = str(Library([read(tarball(*circle))]).reason(BASE + "a"))
    assert f"lead to one another: {BASE}a > {BASE}b > {BASE}a" in told
    chain = [derived(f"c{at}", BASE + f"c{at + 1}", of("Patient")) for at in range(15)]
    told = str(Library([read(tarball(*chain, derived("c15", R4 + "Patient", of("Patient"))))]).reason(BASE + "c0"))
    assert "More than 12 profiles stand on one another" in told
    wide = [derived("wide", R4 + "Patient", of("Patient.nme", min=1)), derived("on", BASE + "wide", of("Patient"))]
    library = Library([read(tarball(*wide))])
    assert "differential.element[0]: Patient.nme: the base has no such element" in str(library.reason(BASE + "wide"))
    assert f"baseDefinition: {BASE}wide: Patient.nme" in str(library.reason(BASE + "on"))


def test_an_extension_without_a_snapshot_is_judged_and_one_that_cannot_be_made_is_told() -> None:
    seen = differential("Extension", of("Extension.url", fixedUri=BASE + "seen"),
                        of("Extension.value[x]", min=1, type=[{"code": "boolean"}]), url=BASE + "seen")
    seen |= {"kind": "complex-type", "context": [{"type": "element", "expression": "Patient"}]}
    lost = seen | {"url": BASE + "lost", "baseDefinition": BASE + "nobody"}
    library = Library([read(tarball(seen, lost))])
    wrong = patient(extension=[{"url": BASE + "seen", "valueString": "x"}, {"url": BASE + "lost", "valueCode": "x"}])
    found = conformance(wrong, (), library, asked_by(library))
    assert [(one.code, one.expression) for one in found if one.severity == "error"] == [
        ("structure", "Patient.extension[0].value")]
    told = [one for one in found if one.code == "not-found"]
    assert [one.severity for one in told] == ["warning"]
    assert f"{BASE}lost of example.profiles#1.0.0 cannot be used" in told[0].diagnostics
    assert f"{BASE}nobody is not known here" in told[0].diagnostics


PACKAGES = {"us.core-3.1.1": 84, "us.core-8.0.0": 228, "uv.ips-1.1.0": 40}
#: Their bases are in packages that are not here.
ON_OTHERS = {"http://hl7.org/fhir/us/core/StructureDefinition/us-core-questionnaireresponse"}


@pytest.mark.parametrize("name", PACKAGES)
def test_without_their_snapshots_published_packages_lead_to_the_same_verdicts(name: str, shared_data: Path) -> None:
    """Of every example, and of it less each of its elements."""
    file = shared_data / "definitions" / f"hl7.fhir.{name}.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    shipped, made = (Library([read(content)]) for content in (file.read_bytes(), _without_snapshots(file)))
    examples, profiles = _contents(file)
    asked = asked_by(shipped), asked_by(made)
    different, count = {}, 0
    for example in examples:
        address = f"{example['resourceType']}/{example.get('id')}"
        wanted = [one for one in profiles.get(address, ()) if shipped.find(one)]
        for lacking, resource in _lessened(example):
            found = [set(conformance(resource, wanted, *one)) for one in zip((shipped, made), asked, strict=True)]
            if found[0] != found[1]:
                different[f"{address} less {lacking}"] = found[0] ^ found[1]
            count += any(one.severity == "error" for one in found[1])
    assert different == {}
    assert len(examples) == PACKAGES[name]
    assert count > len(examples)


def _without_snapshots(file: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(file) as archive, tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as lessened:
        for member in archive:
            if not member.isreg() or member.name.count("/") != 1 or not member.name.endswith(".json"):
                continue
            content = archive.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.startswith("package/StructureDefinition-"):
                found = json.loads(content)
                if found["url"] not in ON_OTHERS:
                    del found["snapshot"]
                content = json.dumps(found).encode()
            member.size = len(content)
            lessened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _lessened(resource: Json) -> Iterator[tuple[str, Json]]:
    yield "nothing", resource
    for name in resource:
        if name not in ("resourceType", "id", "meta", "text"):
            yield name, {key: value for key, value in resource.items() if key != name}
