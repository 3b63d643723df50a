"""Invariants whose published FHIRPath looks at every item once for every other: https://hl7.org/fhir/R4/observation.html#invs

On a body of 30 MB that takes minutes, so they are said here in one pass; a property test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hie.fhir.validation.scope import Scope

Holds = Callable[[dict[str, Any], Scope], bool]


def _groupings_exist(value: dict[str, Any], _: Scope) -> bool:
    known = {one.get("id") for one in value.get("grouping", ())}
    return all(one["groupingId"] in known for one in value.get("resource", ()) if "groupingId" in one)


def _versions_exist(value: dict[str, Any], _: Scope) -> bool:
    known = set(value.get("fhirVersion", ()))
    resources = value.get("definition", {}).get("resource", ())
    return all(version in known for one in resources for version in one.get("fhirVersion", ()) if version is not None)


def _no_component_repeats_the_code(value: dict[str, Any], scope: Scope) -> bool:
    if "component" not in value or not any(name.startswith(("value", "_value")) for name in value):
        return True
    codes = {_comparable(one) for one in scope.resource["code"].get("coding", ())}
    if not codes:
        return True
    components = (one for component in value["component"] for one in component["code"].get("coding", ()))
    return codes.isdisjoint(_comparable(one) for one in components)


def _comparable(value: Any) -> Any:
    """Make a JSON value hashable, so that two are equal where FHIRPath's `=` says so, in any order of properties."""
    if isinstance(value, dict):
        return frozenset((name, _comparable(one)) for name, one in value.items())
    return tuple(_comparable(one) for one in value) if isinstance(value, list) else (type(value) is bool, value)


def _snapshot_paths(value: dict[str, Any], scope: Scope) -> bool:
    """sdf-8: every path of a snapshot starts with the type, and below the first path."""
    paths = list(_paths(value))
    is_root = scope.resource.get("kind") == "logical" or paths[0] is None or paths[0] == scope.resource.get("type")
    return is_root and _all_below(paths[0], paths[1:])


def _differential_paths(value: dict[str, Any], scope: Scope) -> bool:
    """sdf-8a: every path of a differential starts with the type."""
    paths = list(_paths(value))
    first, type_name = paths[0], scope.resource.get("type")
    # A type that is no text is told of by itself: this element is right, its resource need not be.
    is_root = scope.resource.get("kind") == "logical" or first is None or not isinstance(type_name, str) \
        or first.startswith(type_name)
    return is_root and _all_below(None if first is None else first.partition(".")[0], paths[1:])


def _paths(value: dict[str, Any]) -> Iterator[str | None]:
    return (one.get("path") for one in value["element"])


def _all_below(root: str | None, paths: Iterable[str | None]) -> bool:
    """Tell whether paths start with the root; where one is not given nothing is decided."""
    return root is None or all(path is None or path.startswith(root + ".") for path in paths)


LINEAR: dict[str, Holds] = {
    "ig-1": _groupings_exist,
    "ig-2": _versions_exist,
    "obs-7": _no_component_repeats_the_code,
    "sdf-8": _snapshot_paths,
    "sdf-8a": _differential_paths,
}
