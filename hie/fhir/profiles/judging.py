"""Whether a definition can be judged by at all: https://hl7.org/fhir/R4/structuredefinition-definitions.html

A snapshot that nobody checked would let resources through, or refuse them, for no reason that its author meant: an
element that R4 has not, or one whose parent is missing, is never met by any resource.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir import facts, fhirpath
from hie.fhir.fhirpath import model
from hie.fhir.fhirpath.parser import read
from hie.fhir.short_texts import remembered_if_short

from . import limits

Json = dict[str, Any]

#: More would not be read.
MOST_PROBLEMS = 10
#: Of an element and its slice.
_LONGEST_NAME = 1_000
_DISCRIMINATORS = frozenset({"value", "exists", "pattern", "type", "profile"})
_RULES = frozenset({"closed", "open", "openAtEnd"})
_STRENGTHS = frozenset({"required", "extensible", "preferred", "example"})
_CONTEXTS = frozenset({"element", "extension", "fhirpath"})
_FHIRPATH_TYPE = "http://hl7.org/fhirpath/"
_ANY = frozenset({"Resource", "DomainResource"})


def usable(definition: Json) -> bool:
    """Tell whether it is a profile or extension with a snapshot; what is in the snapshot is for `problems`."""
    return _is_profile(definition) and _has_elements(definition, "snapshot")


def makeable(definition: Json) -> bool:
    """Tell whether it is a profile or extension of which a snapshot has to be made, of its differential."""
    return (_is_profile(definition) and not _has_elements(definition, "snapshot")
            and _has_elements(definition, "differential") and isinstance(definition.get("baseDefinition"), str))


def _is_profile(definition: Json) -> bool:
    return definition.get("derivation") == "constraint" and definition.get("kind") in ("resource", "complex-type")


def _has_elements(definition: Json, view: str) -> bool:
    found = definition.get(view)
    elements = found.get("element") if isinstance(found, dict) else None
    return isinstance(elements, list) and bool(elements)


def problems(definition: Json) -> list[str]:
    """Return what is wrong with a profile or extension, each with the element's id; [] where it can be used."""
    found: list[str] = []
    for one in _problems(definition):
        found.append(one)
        if len(found) == MOST_PROBLEMS:
            break
    return found


def _problems(definition: Json) -> Iterator[str]:
    type_name = definition.get("type")
    if not isinstance(type_name, str) or not model.is_type(type_name):
        yield f"type is {_shown(type_name)}, which is no type of R4."
        return
    if (kind := definition.get("kind")) != facts.type_kind(type_name) and kind in ("resource", "complex-type"):
        yield f"kind is {_shown(kind)}; {type_name} is a {facts.type_kind(type_name)}."
    yield from _contexts(definition.get("context"))
    yield from _invariants_of_context(definition.get("contextInvariant", []))
    elements = definition["snapshot"]["element"]
    for at, element in enumerate(elements):
        if not isinstance(element, dict) or not isinstance(element.get("id"), str):
            yield f"snapshot.element[{at}] has no id."
            return
    if elements[0]["id"] != type_name:
        yield f"the first element is {_shown(elements[0]['id'])}; it has to be {type_name}."
        return
    known: dict[str, tuple[str, ...]] = {type_name: (type_name,)}
    yield from _element(elements[0], known)
    for element in elements[1:]:
        identifier = element["id"]
        if identifier in known:
            yield f"{_shown(identifier)} is there twice."
            continue
        types = _types(element, known)
        if types is None:
            yield f"{_shown(identifier)}: R4 has no such element here, or the one above it is missing."
            continue
        known[identifier] = types
        yield from _element(element, known)


def _types(element: Json, known: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the types of R4 that an element's values may have, by its id; None where there is no such element."""
    above, _, last = element["id"].rpartition(".")
    parents = known.get(above)
    if parents is None or not last or len(last) > _LONGEST_NAME:
        return None
    name, _, slice_name = last.partition(":")
    if ":" in last and not slice_name:
        return None
    found: list[str] = []
    for parent in parents:
        child = model.children(parent).get(name.removesuffix("[x]"))
        if child is not None:
            found += [type_ for _, type_ in child.forms]
        elif parent in _ANY:
            found.append("Element")  # of a resource of any type: its own profiles say what it has
    if not found and _is_value_of_primitive(parents, name):
        return ("System.String",)
    return tuple(dict.fromkeys(found)) or None


def _is_value_of_primitive(parents: tuple[str, ...], name: str) -> bool:
    return name == "value" and any(model.is_primitive(parent) for parent in parents)


def _element(element: Json, known: dict[str, tuple[str, ...]]) -> Iterator[str]:
    identifier = _shown(element["id"])
    for problem in (
        *_number(element), *_type(element, known[element["id"]]), *_slicing(element.get("slicing")),
        *_binding(element.get("binding")), *_constraints(element.get("constraint")), *_values(element),
    ):  # fmt: skip
        yield f"{identifier}: {problem}"


def _number(element: Json) -> Iterator[str]:
    least, most = element.get("min", 0), element.get("max", "*")
    if type(least) is not int or least < 0:
        yield f"min is {_shown(least)}; it has to be a whole number from 0."
    elif not isinstance(most, str) or not (most == "*" or (most.isascii() and most.isdigit() and len(most) < 10)):
        yield f"max is {_shown(most)}; it has to be a number or *."
    elif most != "*" and int(most) < least:
        yield f"max is {most}, less than min, {least}."
    longest = element.get("maxLength", 1)
    if type(longest) is not int or longest < 1:
        yield f"maxLength is {_shown(longest)}; it has to be a whole number from 1."


def _type(element: Json, types: tuple[str, ...]) -> Iterator[str]:
    rows = element.get("type", [])
    if not _is_list_of_objects(rows):
        yield "type has to be a list of objects."
        return
    for row in rows:
        code = row.get("code")
        if not isinstance(code, str) or not (code.startswith(_FHIRPATH_TYPE) or model.is_type(code)):
            yield f"the type {_shown(code)} is none of R4."
        elif not _may_be(code, types):
            yield f"the type {code} is not one that R4 allows here: {', '.join(types[:5])}."
        for name in ("profile", "targetProfile"):
            if not _is_list_of_texts(row.get(name, [])):
                yield f"type.{name} has to be a list of canonical URLs."


def _may_be(code: str, types: tuple[str, ...]) -> bool:
    if code.startswith(_FHIRPATH_TYPE):
        return True
    return any(
        model.is_a(code, one) or model.is_a(one, code) or ("." in one and code in ("BackboneElement", "Element"))
        or one == "Element"
        for one in types
    )


def _slicing(slicing: Any) -> Iterator[str]:
    if slicing is None:
        return
    if not isinstance(slicing, dict) or not _is_one_of(slicing.get("rules"), _RULES):
        yield f"slicing.rules has to be one of {', '.join(sorted(_RULES))}."
        return
    rows = slicing.get("discriminator", [])
    if not _is_list_of_objects(rows):
        yield "slicing.discriminator has to be a list of objects."
        return
    for row in rows:
        if not _is_one_of(row.get("type"), _DISCRIMINATORS) or not isinstance(row.get("path"), str):
            yield (f"the discriminator {_shown(row.get('type'))} {_shown(row.get('path'))} needs a path and one of the "
                   f"types {', '.join(sorted(_DISCRIMINATORS))}.")


def _binding(binding: Any) -> Iterator[str]:
    if binding is None:
        return
    if not isinstance(binding, dict) or not _is_one_of(binding.get("strength"), _STRENGTHS):
        yield f"binding.strength has to be one of {', '.join(sorted(_STRENGTHS))}."
    elif not isinstance(binding.get("valueSet", ""), str):
        yield "binding.valueSet has to be a canonical URL."
    elif not _is_list_of_objects(binding.get("extension", [])):
        yield "binding.extension has to be a list of objects."


def _constraints(rows: Any) -> Iterator[str]:
    if rows is None:
        return
    if not _is_list_of_objects(rows):
        yield "constraint has to be a list of objects."
        return
    for row in rows:
        if not isinstance(row.get("key"), str) or row.get("severity") not in ("error", "warning"):
            yield f"the constraint {_shown(row.get('key'))} needs a key, and error or warning as its severity."
        elif (reason := _unreadable(row.get("expression", "true"))) is not None:
            yield f"the expression of {row['key'][:40]} is no FHIRPath: {reason}"


def _unreadable(expression: Any) -> str | None:
    return _syntax_error(expression) if isinstance(expression, str) else "it is no text."


@remembered_if_short(1_024)  # R4's own constraints stand at every element
def _syntax_error(expression: str) -> str | None:
    try:
        read(expression)
    except fhirpath.FhirPathSyntaxError as error:
        return str(error)
    except fhirpath.FhirPathError:
        return None  # told when it is evaluated
    return None


def _values(element: Json) -> Iterator[str]:
    names = [name for name in element if name.startswith(("fixed", "pattern"))]
    if len(names) > 1:
        yield f"{' and '.join(sorted(names))} are both there; one of fixed[x] and pattern[x] is allowed."
    for name in names:
        code = name.removeprefix("fixed").removeprefix("pattern")
        if not model.is_type(code) and not model.is_type(code[:1].lower() + code[1:]):
            yield f"{_shown(name)} names no type of R4."
    try:
        for one in limits.of(element):
            read(one.expression)
    except (ValueError, fhirpath.FhirPathSyntaxError) as error:
        yield f"minValue or maxValue is no limit: {error}"


def _contexts(rows: Any) -> Iterator[str]:
    if rows is None:
        return
    if not _is_list_of_objects(rows):
        yield "context has to be a list of objects."
        return
    for row in rows:
        if not _is_one_of(row.get("type"), _CONTEXTS) or not isinstance(row.get("expression"), str):
            yield f"a context needs an expression and one of the types {', '.join(sorted(_CONTEXTS))}."
        elif row["type"] == "fhirpath" and (reason := _unreadable(row["expression"])) is not None:
            yield f"the context {_shown(row['expression'])} is no FHIRPath: {reason}"


def _invariants_of_context(rows: Any) -> Iterator[str]:
    if not _is_list_of_texts(rows):
        yield "contextInvariant has to be a list of texts."
        return
    for row in rows:
        if (reason := _unreadable(row)) is not None:
            yield f"the contextInvariant {_shown(row)} is no FHIRPath: {reason}"


def _is_one_of(value: Any, codes: frozenset[str]) -> bool:
    return isinstance(value, str) and value in codes


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _shown(value: Any) -> str:
    return repr(value if isinstance(value, str) else str(value))[:120]
