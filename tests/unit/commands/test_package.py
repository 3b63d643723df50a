"""`hie package`: what is installed, for every process that shares the database, and how it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hie.commands.failures import CommandError
from hie.commands.package import install, listing, remove, validation
from hie.errors import Conflict, NotFound
from hie.settings import Settings
from hie.store.packages import REMEMBERED_MICROSECONDS, Profiles
from hie.store.store import Store
from tests.conftest import Clock
from tests.packages import BASE, element, manifest, profile, tarball

NAMED = profile("named", "Patient", element("Patient.name", min=1))


def file(directory: Path, content: bytes, name: str = "package.tgz") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def test_packages_are_installed_listed_and_removed(settings: Settings, tmp_path: Path) -> None:
    one = file(tmp_path, tarball(NAMED), "1.tgz")
    two = file(tmp_path, tarball(NAMED, package=manifest(version="1.1.0")), "2.tgz")
    told = "example.profiles#1.0.0: 1 profiles and extensions, 0 value sets, 0 code systems"
    assert told in list(install(settings, [one, two]))
    assert list(install(settings, [one])) == [told]  # once more is no mistake
    assert list(listing(settings)) == [
        "example.profiles#1.0.0  1 profiles on 1 types  Example",
        "example.profiles#1.1.0  1 profiles on 1 types  Example",
        "2 packages; declared profiles on write: off",
    ]
    assert list(remove(settings, "example.profiles", "1.0.0")) == ["removed example.profiles#1.0.0"]
    assert list(remove(settings, "example.profiles", None)) == ["removed example.profiles#1.1.0"]
    with pytest.raises(NotFound):
        list(remove(settings, "example.profiles", None))


def test_profiles_without_a_snapshot_that_cannot_be_used_are_told(settings: Settings, tmp_path: Path) -> None:
    alone = {key: value for key, value in NAMED.items() if key != "snapshot"}
    alone |= {"url": BASE + "alone", "baseDefinition": NAMED["url"], "differential": {"element": [{"path": "Patient"}]}}
    first = file(tmp_path, tarball(alone, package=manifest("example.above")), "1.tgz")
    base = file(tmp_path, tarball(NAMED), "2.tgz")
    told = "example.above#1.0.0: 1 profiles and extensions, 0 value sets, 0 code systems"
    one, other = install(settings, [first])
    assert one == told
    assert other == (f"  {BASE}alone|1.0.0 of example.above#1.0.0 cannot be used: no snapshot can be made of it: "
                     f"StructureDefinition.baseDefinition: The base definition {BASE}named is not known here.")
    assert len(list(install(settings, [first, base]))) == 2, "what is installed later helps"
    assert list(install(settings, [first])) == [told]


def test_another_file_of_the_same_version_does_not_replace_what_is_there(settings: Settings, tmp_path: Path) -> None:
    list(install(settings, [file(tmp_path, tarball(NAMED))]))
    other = file(tmp_path, tarball(profile("other", "Patient")), "other.tgz")
    with pytest.raises(Conflict, match="from another file"):
        list(install(settings, [other]))


def test_one_file_that_is_no_package_installs_none(settings: Settings, tmp_path: Path) -> None:
    good, bad = file(tmp_path, tarball(NAMED)), file(tmp_path, b"x", "bad.tgz")
    with pytest.raises(CommandError, match=r"bad\.tgz: The file is"):
        list(install(settings, [good, bad]))
    assert list(listing(settings)) == ["0 packages; declared profiles on write: off"]


def test_a_process_that_runs_sees_what_another_one_installs_removes_and_switches(
    settings: Settings, tmp_path: Path, clock: Clock
) -> None:
    store = Store.open(settings, clock=clock)
    profiles = Profiles(store.database, clock)
    assert (profiles.library().find(BASE + "named"), profiles.mode(1), profiles.supported()) == (None, "off", ())
    list(install(settings, [file(tmp_path, tarball(NAMED))]))
    list(validation(settings, "reject"))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    assert profiles.mode(1) == "reject"
    assert profiles.supported() == (("Patient", (BASE + "named",)),)
    found = profiles.library().find(BASE + "named")
    assert found is not None
    assert found.root.children["name"].min == 1
    list(remove(settings, "example.profiles", None))
    list(validation(settings, "off"))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    assert (profiles.library().find(BASE + "named"), profiles.mode(1)) == (None, "off")
    store.close()
