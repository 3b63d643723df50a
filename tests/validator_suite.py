"""HL7's test cases of validators: what is asked of which resource, and what HL7's own validator said of it.

The manifest names for each case the resource, what has to be known beside it (`profiles`, `supporting`), and perhaps
one more question, the resource by a profile. The two agree where both find an error, or none does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hie.errors import FhirError
from hie.fhir import resource as resources
from hie.fhir import stated
from hie.fhir.profiles import Library, conformance, read
from hie.fhir.profiles.library import Bases
from hie.fhir.profiles.package import Package, PackageError
from hie.fhir.profiles.terminology import PackagedTerminology, asked_by
from hie.fhir.questionnaires import Form, problems
from hie.fhir.snapshots import judging
from hie.fhir.terminology.terminology import Terminology
from hie.fhir.validation import validate
from hie.fhir.working_time import WorkingTime
from tests.packages import tarball

Json = dict[str, Any]

#: Kinds of cases that are about something else, or need what is not here: the web, packages, R5, SNOMED CT.
_ELSEWHERE = frozenset({
    "api", "cda", "cdshooks", "dsig", "json5", "logical", "matchetype", "measure", "package-versioning", "scoring",
    "shc", "tx", "tx-advanced", "versions", "xver",
})  # fmt: skip
#: Options of HL7's validator that ask for more, or less, than the specification does.
_OPTIONS = (
    "allow-comments", "best-practice", "bundle-param", "certificate", "default-version", "for-publication", "ips",
    "logical", "new-xver-mode", "no-experimental-content", "noHtmlInMarkdown", "package-map", "packages", "scoring",
    "sct", "security-checks", "supporting5", "validateContains",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One question: a resource by R4 and what it declares, or by a profile as well."""

    name: str
    file: Path
    beside: tuple[Path, ...]
    is_wrong: bool
    """HL7's validator finds an error."""
    profile: str | None = None
    """The file of the profile, or its URL."""
    folder: Path = field(default=Path(), repr=False)


def read_cases(folder: Path) -> Iterator[Case]:
    """Read the cases for R4 that this server can be asked."""
    for test in json.loads((folder / "manifest.json").read_bytes())["test-cases"]:
        if not _is_asked(test):
            continue
        beside = _files(test, folder)
        if (wrong := _is_wrong(test.get("java"), folder)) is not None:
            yield Case(test["name"], folder / test["file"], beside, wrong, folder=folder)
        more = test.get("profile")
        if isinstance(more, dict) and not more.get("packages"):
            wrong = _is_wrong(more.get("java"), folder)
            if wrong is not None and _is_readable(more["source"], folder):
                yield Case(f"{test['name']} by {more['source']}", folder / test["file"], beside + _files(more, folder),
                           wrong, more["source"], folder)  # fmt: skip


def _is_asked(test: Json) -> bool:
    return (
        test.get("version", "4.0") in ("4.0", "4.0.1") and test.get("use-test") is not False
        and test.get("module") not in _ELSEWHERE and test["file"].endswith((".json", ".xml"))
        and not any(test.get(one) for one in _OPTIONS)
    )  # fmt: skip


def _files(test: Json, folder: Path) -> tuple[Path, ...]:
    names = (*test.get("profiles", ()), *test.get("supporting", ()))
    return tuple(file for name in names if (file := folder / name).exists())


def _is_wrong(java: Any, folder: Path) -> bool | None:
    """Tell what HL7's validator found; None where that is not recorded."""
    if isinstance(java, str):
        file = folder / "outcomes" / java
        java = {"outcome": json.loads(file.read_bytes())} if file.exists() else None
    if not isinstance(java, dict):
        return None
    if "outcome" in java:
        return any(one["severity"] in ("error", "fatal") for one in java["outcome"].get("issue", ()))
    return bool(java["errorCount"]) if "errorCount" in java else None


def _is_readable(source: str, folder: Path) -> bool:
    return source.startswith("http") or _parsed(folder / source) is not None


# ---- asking ----------------------------------------------------------------------------------------------------------


def finds_an_error(case: Case) -> bool:
    """Judge the resource as `$validate` does."""
    files, wanted = case.beside, []
    if case.profile is not None and case.profile.startswith("http"):
        wanted = [case.profile]
    elif case.profile is not None:
        files = (*files, case.folder / case.profile)
        wanted = [(_parsed(files[-1]) or {})["url"]]
    resource = _parsed(case.file)
    if resource is None:
        return True
    issues = validate(resource)
    if not any(one.severity in ("error", "fatal") for one in issues):
        defined = tuple(one for file in files for one in _definitions(file))
        library = Library([Package("cases", "1", resources=defined, digest=repr(sorted(files)))])
        found = conformance(resource, wanted, library, asked_by(library), of_vital_signs="error")
        issues = [*found, *_answers(resource, files, library), *stated.problems(resource, _terminology(library))]
        if resource["resourceType"] == "StructureDefinition":
            issues += judging.problems(resource, Bases(library, "cases#1"), WorkingTime(60))
    return any(one.severity in ("error", "fatal") for one in issues)


@cache
def _parsed(file: Path) -> Json | None:
    """Read a resource; None where it is none of R4."""
    try:
        return (resources.parse_xml if file.suffix == ".xml" else resources.parse)(file.read_bytes())
    except FhirError:
        return None


@cache
def _definitions(file: Path) -> tuple[Json, ...]:
    """Read what a file defines, as far as a package may have it."""
    found: list[Json] = []
    for one in _held(file):
        if one.get("resourceType") in ("StructureDefinition", "ValueSet", "CodeSystem"):
            try:
                found += read(tarball(one)).resources
            except (PackageError, TypeError):  # nonsense, or decimals that the tests' tarball cannot hold
                continue
    return tuple(found)


def _held(file: Path) -> list[Json]:
    resource = _parsed(file) or {}
    if resource.get("resourceType") != "Bundle":
        return [resource]
    return [one["resource"] for one in resource.get("entry", ()) if "resource" in one]


def _answers(resource: Json, files: tuple[Path, ...], library: Library) -> list[Any]:
    """Judge answers beside the questionnaire that is contained or stands in the files."""
    if resource["resourceType"] != "QuestionnaireResponse" or "questionnaire" not in resource:
        return []
    name = resource["questionnaire"].partition("|")[0]
    known = {f"#{one.get('id')}": one for one in resource.get("contained", ())}
    known |= {str(one.get("url")): one for file in files for one in _held(file)}
    asked = known.get(name)
    if asked is None or any(one.severity in ("error", "fatal") for one in validate(asked)):
        return []
    service, container = _terminology(library), resource if name.startswith("#") else None
    form = Form(asked, container)
    return problems(resource, form, service.in_value_set, "QuestionnaireResponse", service.in_contained)


def _terminology(library: Library) -> Terminology:
    return Terminology(PackagedTerminology(library, "cases#1", None))
