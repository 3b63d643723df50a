"""Packages are read from outside: what is kept of them, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from hie.fhir.profiles import PackageError, package, read
from tests.packages import BASE, element, manifest, profile, tarball

NAMED = profile("named", "Patient", element("Patient.name", min=1, definition="long words"), description="words")
ALONE = {
    **{key: value for key, value in NAMED.items() if key != "snapshot"}, "url": BASE + "alone", "text": {"div": "x"},
    "baseDefinition": NAMED["url"], "differential": {"element": [
        {"id": "Patient", "path": "Patient"},
        {"id": "Patient.name:x", "path": "Patient.name", "sliceName": "x", "short": "words"}]},
}  # fmt: skip


def test_profiles_value_sets_and_code_systems_are_kept_without_their_words() -> None:
    value_set = {"resourceType": "ValueSet", "url": "urn:v", "status": "active", "text": {"div": "x"},
                 "compose": {"include": [{"system": "urn:s"}]}}
    found = read(tarball(NAMED, value_set, {"resourceType": "Patient"}, {"resourceType": "ValueSet"}))
    assert (found.key, found.title, len(found.digest)) == ("example.profiles#1.0.0", "Example", 64)
    assert [one["url"] for one in found.resources] == [BASE + "named", "urn:v"]
    assert "description" not in found.resources[0]
    assert found.resources[0]["snapshot"]["element"][1] == {"id": "Patient.name", "min": 1, "max": "*"}
    assert "text" not in found.resources[1]


def test_profiles_without_a_snapshot_are_kept_and_all_as_they_were_published() -> None:
    found = read(tarball(NAMED, ALONE))
    assert found.resources[1]["differential"] == {"element": [
        {"id": "Patient", "path": "Patient"}, {"id": "Patient.name:x", "path": "Patient.name", "sliceName": "x"}]}
    assert found.resources[1]["baseDefinition"] == NAMED["url"]
    assert found.published == (NAMED, {key: value for key, value in ALONE.items() if key != "text"})
    ours = read(tarball(ALONE, package=manifest("hl7.fhir.r4.core")))
    assert (len(ours.resources), ours.published) == (1, ()), "the server has them"


def test_what_lies_elsewhere_in_the_archive_is_not_read() -> None:
    strangers = {
        "../package/evil.json": b"{", "/etc/passwd": b"x", "package/../../evil.json": b"{",
        "package/example/x.json": b"{",
        "other/a.json": b"{", "package/page.html": b"<",
    }  # fmt: skip
    assert len(read(tarball(NAMED, files=strangers)).resources) == 1


def test_links_and_devices_are_not_followed() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("package/package.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(PackageError, match=r"no package/package\.json"):
        read(buffer.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"), (b"PK\x03\x04", "no gzip"), (gzip.compress(b"no tar"), "no gzip"),
        (tarball(NAMED)[:200], "damaged"), (tarball(files={"package/a.json": b"{"}), "no JSON"),
        (tarball(), "no profile or extension"), (tarball(NAMED, package={"name": "x"}), "version"),
        (tarball(NAMED, package=manifest(name="../../x")), "names"),
        (tarball(NAMED, package=manifest(version="")), "version"),
        (tarball(NAMED, package=manifest(fhirVersions=["5.0.0"])), "for FHIR 5.0.0"),
        (tarball({**NAMED, "snapshot": {}}), "no profile or extension"),
        (tarball({**ALONE, "differential": {"element": [{"path": "Patient"}, 5, {"id": "Patient.photo"}]}}),
         r"alone cannot be used: .*differential\.element\[1\]: An object is expected"),
        (tarball({**ALONE, "differential": {"element": [{"path": "Patient", "min": "1"}]}}), r"element\[0\]\.min"),
        (tarball({**ALONE, "snapshot": 5}), r"StructureDefinition\.snapshot: An object is expected"),
        (tarball({**ALONE, "type": ["Patient"]}), r"StructureDefinition\.type"),
        (tarball({key: one for key, one in ALONE.items() if key != "type"}), r"StructureDefinition\.type: type is req"),
        (tarball({"resourceType": "CodeSystem", "url": "urn:c", "status": "active", "content": "complete",
                  "concept": [{"code": 5}]}), r"urn:c cannot be used: .*concept\[0\].code: A code is a JSON string"),
        (tarball({**NAMED, "snapshot": {"element": [{"path": "Patient"}]}}), r"named cannot be used: .* has no id"),
        (tarball({**NAMED, "derivation": "specialization"}), "no profile or extension"),
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(PackageError, match=words):
        read(content)


def test_what_is_no_resource_is_passed_over() -> None:
    others = [{**NAMED, "resourceType": ["StructureDefinition"]}, {"resourceType": {}}, {"resourceType": None}]
    assert [one["url"] for one in read(tarball(NAMED, *others)).resources] == [NAMED["url"]]


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = {"package/big.json": b" " * 3_000_000}
    monkeypatch.setattr(package, "MAX_FILE", 1_000_000)
    with pytest.raises(PackageError, match="3000000 bytes"):
        read(tarball(NAMED, files=zeros))
    monkeypatch.setattr(package, "MAX_UNPACKED", 2_000_000)
    with pytest.raises(PackageError, match="unpacks to more"):
        read(tarball(NAMED, files={"other/big.bin": b"\0" * 3_000_000}))
    monkeypatch.setattr(package, "MAX_FILES", 3)
    with pytest.raises(PackageError, match="unpacks to more"):
        read(tarball(NAMED, files={f"other/{at}": b"" for at in range(5)}))
    monkeypatch.setattr(package, "MAX_ARCHIVE", 100)
    with pytest.raises(PackageError, match="at most 100"):
        read(tarball(NAMED))
