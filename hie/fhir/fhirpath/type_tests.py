"""Whether items are of a type: https://hl7.org/fhirpath/N1/#types"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from . import at_hand, model, syntax
from .errors import FhirPathError, FhirPathUnsupported
from .parts import EMPTY, FALSE, TRUE, Frame, Items, Part, boolean
from .syntax import Expression
from .values import Amount, Element, Moment, system_type, to_system, type_of

_VALUES = (bool, int, str, Decimal, Moment, Amount)


def type_argument(tree: Expression) -> str:
    """Read the type named as the argument of is(), as() or ofType()."""
    match tree:
        case syntax.Member(None, name):
            return name
        case syntax.Member(syntax.Member(None, namespace), name):
            return f"{namespace}.{name}"
    raise FhirPathUnsupported("A type name was expected.")


def matcher(wanted: str) -> Callable[[str], bool]:
    """Give the test whether a type is the one an expression names: of FHIR first, else of the language."""
    namespace, _, name = wanted.rpartition(".")
    if namespace not in ("", "FHIR", "System"):
        raise FhirPathUnsupported(f"The type {wanted} is not known.")
    if namespace != "System" and model.is_type(name):
        # Without a namespace, Quantity means the language's own as well.
        alias = f"System.{name}" if not namespace and name in model.SYSTEM_TYPES else name
        return lambda type_name: type_name == alias or model.is_a(type_name, name)
    if namespace != "FHIR" and name in model.SYSTEM_TYPES:
        full = f"System.{name}"
        return lambda type_name: type_name == full
    if model.is_type(name):
        return lambda type_name: False  # System.Patient: nothing is one
    raise FhirPathUnsupported(f"The type {wanted} is not known.")


def is_type(part: Part, wanted: str) -> Part:
    """Compile `is`: true or false for one item, empty for none."""
    matches, own, run = matcher(wanted), part.type, part.run

    def walk(frame: Frame, focus: Items) -> Items:
        items = run(frame, focus)
        if not items:
            return EMPTY
        if len(items) > 1:
            raise FhirPathError(f"is takes one item, {len(items)} were found.")
        return TRUE if matches(type_of(items[0], own)) else FALSE

    return Part(walk, "System.Boolean")


def of_type(part: Part, wanted: str) -> Part:
    """Compile ofType(), and `as` for types of FHIR: both keep the items, as R4's own expressions apply `as` to many."""
    matches, own, run = matcher(wanted), part.type, part.run
    name = wanted.rpartition(".")[2]
    plain = name if model.is_type(name) and not wanted.startswith("System.") and _has_no_subtypes(name) else None

    def walk(frame: Frame, focus: Items) -> Items:
        found = [item for item in run(frame, focus) if matches(type_of(item, own))]
        if plain is None:
            return [item if type(item) is Element or own is None else _boxed_one(item, own) for item in found]
        return [item.value if type(item) is Element and item.extra is None else item for item in found]

    return Part(walk, plain)


def as_type(part: Part, wanted: str) -> Part:
    """Compile `as`: as `ofType`, and as a type of the language what converts to it: R4/fhirpath.html#types"""
    if not wanted.startswith("System."):
        return of_type(part, wanted)
    matches, own, run = matcher(wanted), part.type, part.run

    def walk(frame: Frame, focus: Items) -> Items:
        values = [item if matches(type_of(item, own)) else to_system(item, own) for item in run(frame, focus)]
        return [value for value in values if isinstance(value, _VALUES) and matches(system_type(value))]

    return Part(walk, wanted)


def _boxed_one(item: Any, own: str) -> Any:
    return item if own.startswith("System.") else Element(item, type_of(item, own))


def _has_no_subtypes(name: str) -> bool:
    return name in model.leaf_types()


def target_test(base: Part, wanted: str) -> Part:
    """Compile `resolve() is T`, answered from the reference, without fetching anything."""
    from hie.fhir.references import target_type  # references need this package's model

    name = wanted.removeprefix("FHIR.")
    if not model.is_resource(name):
        raise FhirPathUnsupported(f"resolve() gives resources, and {wanted} is none.")

    def walk(frame: Frame, focus: Items) -> Items:
        items = base.run(frame, focus)
        if not items:
            return EMPTY
        if len(items) > 1:
            raise FhirPathError(f"is takes one item, {len(items)} were found.")
        item = items[0].value if type(items[0]) is Element else items[0]
        reference = item if type(item) is dict else {"reference": item}
        target = target_type(reference) or _contained_type(reference, frame)
        return EMPTY if target is None else boolean(model.is_a(target, name))

    return Part(walk, "System.Boolean")


def _contained_type(reference: dict[str, Any], frame: Frame) -> str | None:
    """Tell the type of the contained resource a reference points at; None if it is no such reference."""
    text = reference.get("reference")
    found = at_hand.found(text, frame, reference) if isinstance(text, str) and text.startswith("#") else None
    return None if found is None else found.get("resourceType")
