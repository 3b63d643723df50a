"""The functions FHIR adds: https://hl7.org/fhir/R4/fhirpath.html#functions"""

from __future__ import annotations

from functools import partial
from typing import Any

from hie.fhir import facts

from .. import at_hand, model
from ..compiler import Compiler
from ..errors import FhirPathUnsupported
from ..parts import FALSE, TRUE, Frame, Items, Part, boolean, singleton
from ..steps import steps
from ..syntax import Expression, Literal
from ..values import Element, to_system, type_of, unboxed
from .function import Function, on_items


def _extension(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    url = compiler.compile(arguments[0])
    extensions = steps(base, ["extension"])

    def run(frame: Frame, focus: Items) -> Items:
        items = extensions.run(frame, focus)
        if not items:
            return items
        wanted = singleton(url.run(frame, focus), url, "extension()")
        found = []
        for item in items:
            value = item.value if type(item) is Element else item
            if type(value) is dict and value.get("url") == wanted:
                found.append(item)
        return found

    return Part(run, extensions.type)


def _has_extension(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    extensions = _extension(compiler, base, arguments)
    return Part(lambda frame, focus: TRUE if extensions.run(frame, focus) else FALSE, "System.Boolean")


def _has_value(items: Items, own: str | None) -> Items:
    if len(items) != 1:
        return FALSE
    value = unboxed(items[0])
    return boolean(value is not None and type(value) is not dict)


def _get_value(items: Items, own: str | None) -> Items:
    value = to_system(items[0], own) if len(items) == 1 and type(unboxed(items[0])) is not dict else None
    return [] if value is None else [value]


def _html_checks(items: Items, own: str | None) -> Items:
    from hie.fhir.validation.narrative import problem  # validation itself evaluates FHIRPath

    values = [unboxed(item) for item in items]
    if not items or any(type_of(item, own) != "xhtml" for item in items):
        return []
    return boolean(all(isinstance(value, str) and problem(value) is None for value in values))


# ---- resolve() -------------------------------------------------------------------------------------------------------


def _resolve(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    """Compile resolve() for what lies at hand: contained resources and the entries of the same Bundle."""

    def run(frame: Frame, focus: Items) -> Items:
        found = []
        for item in base.run(frame, focus):
            value = unboxed(item)
            text = value.get("reference") if type(value) is dict else value
            whole = value if type(value) is dict else None
            resource = at_hand.found(text, frame, whole) if isinstance(text, str) else None
            if resource is not None:
                found.append(Element(resource, str(resource.get("resourceType"))))
        return found

    return Part(run, None)


# ---- what the facts can decide ---------------------------------------------------------------------------------------

_PROFILES = "http://hl7.org/fhir/StructureDefinition/"


def _conforms_to(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    match arguments[0]:
        case Literal(str(url), "String") if model.is_type(url.removeprefix(_PROFILES)):
            name = url.removeprefix(_PROFILES)
        case Literal(str(url), "String") if compiler.profiles:
            return Part(partial(_asks_profile, base, url), "System.Boolean")
        case _:
            raise FhirPathUnsupported("conformsTo() is supported for the types of FHIR itself, written as a literal.")
    own = base.type

    def apply(items: Items, _: str | None) -> Items:
        return boolean(model.is_a(type_of(items[0], own), name)) if len(items) == 1 else []

    return on_items("conformsTo", apply, "System.Boolean").compile(compiler, base, ())


def _asks_profile(base: Part, url: str, frame: Frame, focus: Items) -> Items:
    """Ask who evaluates; empty where the structure is not known: https://hl7.org/fhir/R4/fhirpath.html#functions"""
    items = base.run(frame, focus)
    if len(items) != 1 or frame.conforms is None:
        return []
    item = items[0] if type(items[0]) is Element else Element(items[0], type_of(items[0], base.type))
    return boolean(frame.conforms(item, url))


def _member_of(compiler: Compiler, base: Part, arguments: tuple[Expression, ...]) -> Part:
    match arguments[0]:
        case Literal(str(url), "String"):
            systems = facts.required_codes(url) or facts.required_codes(f"{url}|4.0.1")
        case _:
            raise FhirPathUnsupported("memberOf() takes the address of a value set, written as a literal.")
    if systems is None:
        return Part(partial(_asks_value_set, base, url), "System.Boolean")
    codes = {(system, code) for system, members in systems.items() for code in members}
    known = {code for _, code in codes}

    def holds(item: Any) -> bool:
        value = unboxed(item)
        if type(value) is not dict:
            return value in known
        codings = at_hand.dicts(value.get("coding")) if "coding" in value else [value]
        return any((coding.get("system"), coding.get("code")) in codes for coding in codings)

    def apply(items: Items, _: str | None) -> Items:
        return boolean(holds(items[0])) if len(items) == 1 else []

    return on_items("memberOf", apply, "System.Boolean").compile(compiler, base, ())


def _asks_value_set(base: Part, url: str, frame: Frame, focus: Items) -> Items:
    """Ask who evaluates, else the terminology that ships with R4; empty where it cannot tell."""
    from hie.fhir.terminology import in_value_set as shipped  # reads the archive of R4's terminology

    items = base.run(frame, focus)
    in_value_set = frame.members or shipped
    if len(items) != 1:
        return []
    value = unboxed(items[0])
    if type(value) is str:
        return boolean(in_value_set(url, None, value))
    rows = at_hand.dicts(value.get("coding")) if type(value) is dict and "coding" in value else at_hand.dicts([value])
    answers = [in_value_set(url, row.get("system"), row["code"]) for row in rows if isinstance(row.get("code"), str)]
    return boolean(True if True in answers else None if None in answers or not answers else False)


FUNCTIONS = (
    Function("extension", (1, 1), _extension),
    Function("hasExtension", (1, 1), _has_extension),
    on_items("hasValue", _has_value, "System.Boolean"),
    on_items("getValue", _get_value, None),
    on_items("htmlChecks", _html_checks, "System.Boolean"),
    Function("resolve", (0, 0), _resolve),
    Function("conformsTo", (1, 1), _conforms_to),
    Function("memberOf", (1, 1), _member_of),
)
