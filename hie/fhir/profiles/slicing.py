"""Which slice a value belongs to: https://hl7.org/fhir/R4/profiling.html#discriminator

A discriminator names a path below the value and what to look at there. The answer is True, False, or None where it
cannot be told: the target of a reference is not at hand, or the code system of a value set is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import matching
from .library import Definition
from .place import Place
from .resolving import pointed_type, target
from .tree import Node

if TYPE_CHECKING:
    from .checking import Check

Json = dict[str, Any]
_STEP = re.compile(r"\.?(?:(?P<function>[A-Za-z]+)\((?P<argument>[^()]*)\)|(?P<name>[A-Za-z]+)(?:\[x\])?)")


def belongs(check: Check, sliced: Node, slice_: Node, place: Place, owner: Definition) -> bool | None:
    """Tell whether a value is of a slice, by all discriminators of the element that is sliced."""
    discriminators: list[Json] = sliced.definition.get("slicing", {}).get("discriminator", [])
    if not discriminators:
        return None
    answer: bool | None = True
    for one in discriminators:
        check.count()
        path = str(one.get("path", "$this"))
        found = _decided(check, str(one.get("type")), path, slice_, place, owner)
        if found is False:
            return False
        if found is None:
            answer = None
    return answer


def _decided(
    check: Check, kind: str, path: str, slice_: Node, place: Place, owner: Definition
) -> bool | None:
    if kind == "type":
        return _of_type(path, slice_, place, check, owner)
    if kind == "profile":
        return _of_profile(path, slice_, place, check, owner)
    if kind == "exists":
        return _exists(path, slice_, place, check, owner)
    return _of_value(path, slice_, place, check, owner)


# ---- values and patterns ---------------------------------------------------------------------------------------------


def _of_value(path: str, slice_: Node, place: Place, check: Check, owner: Definition) -> bool | None:
    return _along(["", *_steps(path)], slice_, [place], check, owner)


def _along(steps: list[str], start: Node, given: list[Place], check: Check, owner: Definition) -> bool | None:
    """The first element on the way that has a fixed value, a pattern or a required binding, or is forbidden, decides.
    """
    node: Node | None = start
    places: list[Place] | None = given
    definition = owner
    for index, step in enumerate(steps):
        if step:
            if node is None or places is None:
                return None
            if _is_told_by_slices(node, step):
                return _through_slices(steps[index:], node, places, check, definition)
            if step == "url" and (url := _extension_url(node, check, definition)):
                return any(one.value == url for found in places for one in found.children("url"))
            node, definition = _down(node, step, check, definition)
            places = _values(places, step, check)
        if node is not None and places is not None and node.max == 0:
            return not places
        if node is not None and places is not None and _is_decisive(node):
            return _any(_fits(node, one, check, definition) for one in places)
    return None if places is None or node is None else _by_contents(node, places, check, definition)


def _is_told_by_slices(node: Node, step: str) -> bool:
    """Tell whether an element on the way is sliced itself, and only its mandatory slices say what lies below."""
    if not any(one.min > 0 for one in node.slices.values()):
        return False
    child = node.children.get(step)
    return child is None or not any(_is_decisive(one) for one in child.walk())


def _through_slices(
    steps: list[str], node: Node, places: list[Place], check: Check, owner: Definition
) -> bool | None:
    """Each mandatory slice has to be among the values: R4's own blood pressure has `code.coding.code` of `SBPCode`."""
    answer: bool | None = True
    for one in node.slices.values():
        if one.min > 0:
            found = _any(_along(["", *steps], one, [place], check, owner) for place in places)
            if found is False:
                return False
            if found is None:
                answer = None
    return answer


def _is_decisive(node: Node) -> bool:
    return matching.constrained(node) or node.definition.get("binding", {}).get("strength") == "required"


def _fits(node: Node, place: Place, check: Check, owner: Definition) -> bool | None:
    if matching.constrained(node):
        return matching.matches(node, place.value, check.count)
    return check.is_bound(node, place, owner)


def _by_contents(node: Node, places: list[Place], check: Check, owner: Definition) -> bool | None:
    """Where only what lies below the discriminator's element is fixed, all of that decides."""
    if not any(_is_decisive(one) for child in node.children.values() for one in child.walk()):
        return None
    return any(check.silently(node, one, owner) for one in places)


def _any(answers: Iterator[bool | None]) -> bool | None:
    found = list(answers)
    return True if True in found else None if None in found else False


# ---- types, profiles, existence --------------------------------------------------------------------------------------


def _of_type(path: str, slice_: Node, place: Place, check: Check, owner: Definition) -> bool | None:
    steps = _steps(path)
    at_target = steps[-1:] == ["resolve()"]
    node, places = _go(slice_, place, steps[:-1] if at_target else steps, check, owner)
    if node is None or places is None:
        return None
    if at_target:
        wanted = {check.type_behind(one, owner) for row in node.types for one in row.get("targetProfile", ())}
        return _any(_among(pointed_type(one), wanted) for one in places)
    codes = {str(row.get("code", "")) for row in node.types}
    return any(any(check.is_of(one.type, code) for code in codes) for one in places)


def _among(pointed: str | None, wanted: set[str | None]) -> bool | None:
    if pointed is None or None in wanted:
        return None
    return pointed in wanted or "Resource" in wanted


def _of_profile(path: str, slice_: Node, place: Place, check: Check, owner: Definition) -> bool | None:
    steps = _steps(path)
    at_target = steps[-1:] == ["resolve()"]
    node, places = _go(slice_, place, steps[:-1] if at_target else steps, check, owner)
    if node is None or places is None:
        return None
    name = "targetProfile" if at_target else "profile"
    profiles = [url for row in node.types for url in row.get(name, ())]
    if not profiles:
        return any(any(check.is_of(one.type, str(row.get("code", ""))) for row in node.types) for one in places)
    return _any(_has_one(one, profiles, at_target, check, owner) for one in places)


def _has_one(place: Place, profiles: list[str], at_target: bool, check: Check, owner: Definition) -> bool | None:
    if not at_target:
        return check.has_profile(place, profiles, owner)
    found = target(place, check.targets)
    if found is not None:
        return check.has_profile(found, profiles, owner)
    # Not at hand: another type cannot be it, of the right type it may.
    return False if _among(pointed_type(place), {check.type_behind(one, owner) for one in profiles}) is False else None


def _exists(path: str, slice_: Node, place: Place, check: Check, owner: Definition) -> bool | None:
    steps = _steps(path)
    node, _ = _go(slice_, place, steps, check, owner)
    places: list[Place] | None = [place]
    for step in steps:
        places = _values(places, step, check) if places is not None else None
    if node is None or places is None:
        return None
    if node.max == 0:
        return not places
    return bool(places) if node.min > 0 else None


# ---- paths -----------------------------------------------------------------------------------------------------------


def _steps(path: str) -> list[str]:
    """Cut a discriminator's path into names, `resolve()` and `extension(url)`: the functions it may have."""
    steps = []
    for match in _STEP.finditer(path):
        if match["name"]:
            steps.append(match["name"])
        elif match["function"] == "resolve":
            steps.append("resolve()")
        elif match["function"] in ("extension", "ofType"):
            steps.append(f"{match['function']}({match['argument'].strip(chr(39))})")
    return [one for one in steps if one != "this"]


def _go(
    node: Node, place: Place, steps: list[str], check: Check, owner: Definition
) -> tuple[Node | None, list[Place] | None]:
    """Follow a path in the definition and in the value together."""
    found: Node | None = node
    places: list[Place] | None = [place]
    for step in steps:
        if found is None or places is None:
            return None, None
        found, owner = _down(found, step, check, owner)
        places = _values(places, step, check)
    return found, places


def _values(places: list[Place], step: str, check: Check) -> list[Place] | None:
    """Follow one step in the values; None where what a reference points at is not at hand."""
    if step == "resolve()":
        targets = [target(one, check.targets) for one in places]
        return None if None in targets else [one for one in targets if one is not None]
    if step.startswith("extension("):
        url = step[10:-1]
        return [two for one in places for two in one.children("extension") if _url(two) == url]
    if step.startswith("ofType("):
        return [one for one in places if one.type == step[7:-1]]
    return [two for one in places for two in one.children(step)]


def _url(place: Place) -> Any:
    return place.value.get("url") if isinstance(place.value, dict) else None


def _down(node: Node, step: str, check: Check, owner: Definition) -> tuple[Node | None, Definition]:
    """Follow one step in the definition: into the profile of the element's type where its own ends."""
    if step.startswith("ofType("):
        return node, owner
    if step == "resolve()":
        return check.profile_root([url for row in node.types for url in row.get("targetProfile", ())], owner)
    name, url = ("extension", step[10:-1]) if step.startswith("extension(") else (step, None)
    child = node.children.get(name)
    if child is None:
        root, definition = check.profile_root([one for row in node.types for one in row.get("profile", ())], owner)
        if root is None or name not in root.children:
            return None, owner
        child, owner = root.children[name], definition
    if url is None:
        return child, owner
    wanted = (one for one in child.slices.values() if _extension_url(one, check, owner) == url)
    return next(wanted, None), owner


def _extension_url(node: Node, check: Check, owner: Definition) -> str | None:
    """Give the url of the extension that a slice stands for: fixed, or the address of its definition."""
    child = node.children.get("url")
    if child is not None and isinstance(fixed := child.value_of(matching.FIXED), str):
        return fixed
    profiles = [url for row in node.types if row.get("code") == "Extension" for url in row.get("profile", ())]
    return str(profiles[0]).partition("|")[0] if len(profiles) == 1 else None
