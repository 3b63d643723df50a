"""The value of a FHIRPath Patch's operation, and whether its type fits the element: https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.errors import InvalidRequest, Unprocessable
from hie.fhir.fhirpath import model
from hie.fhir.fhirpath.model import Child
from hie.fhir.patching import places


@dataclass(frozen=True, slots=True)
class Given:
    """A value ready to be set: under which JSON property, of which type, with a primitive's id and extensions."""

    name: str
    type: str
    value: Any
    extra: dict[str, Any] | None = None


def given(part: dict[str, Any], child: Child, expression: str) -> Given:
    """Read a part's value for an element; Unprocessable where its type does not fit there."""
    if "resource" in part:
        return _resource(part["resource"], child)
    if "part" in part:
        return _of_parts(part["part"], child, expression)
    name = next((key.lstrip("_") for key in part if key.lstrip("_").startswith("value")), None)
    if name is None:
        raise InvalidRequest(f"Part {part['name'][:80]} has neither a value nor parts.", expression=expression)
    type_name = _type_of(name.removeprefix("value"))
    form = _fitting(child, type_name)
    if form is None:
        wanted = " or ".join(one for _, one in child.forms[:5])
        raise Unprocessable(f"{child.name} is of type {wanted}{' …' if len(child.forms) > 5 else ''}; "
                            f"the value is of type {type_name}.")
    return Given(form[0], form[1], part.get(name), part.get("_" + name))


def refuse_other_form(name: str, child: Child, value: Given) -> None:
    """Refuse a value of another type than the name says, where that is one of valueString's kind."""
    if name != value.name and any(name == form for form, _ in child.forms):
        raise Unprocessable(f"The name is {name}, the value is of type {value.type}.")


def _type_of(suffix: str) -> str:
    """Name the type of value[x]: valueDateTime is a dateTime, valueHumanName a HumanName."""
    lowered = suffix[:1].lower() + suffix[1:]
    return lowered if model.is_primitive(lowered) else suffix


def _fitting(child: Child, type_name: str) -> tuple[str, str] | None:
    """Find the form that takes a type: the type itself, one it specialises, or one that specialises it.

    A string may so stand for a code or a uri's like, and for xhtml, which has no value[x]: the validator judges the
    text.
    """
    exact = [form for form in child.forms if form[1] == type_name or (form[1], type_name) == ("xhtml", "string")]
    related = [form for form in child.forms if model.is_a(type_name, form[1]) or model.is_a(form[1], type_name)]
    found = exact or [form for form in related if form[1] not in ("Element", "Resource")]
    return found[0] if found else None


def _resource(resource: Any, child: Child) -> Given:
    form = next((form for form in child.forms if form[1] == "Resource"), None)
    if form is None:
        raise Unprocessable(f"{child.name} is no resource.")
    return Given(form[0], form[1], resource)


def _of_parts(parts: list[dict[str, Any]], child: Child, expression: str) -> Given:
    """Build an element whose type cannot stand in a parameter, such as Patient.contact, from its named parts."""
    if len(child.forms) != 1 or model.is_primitive(child.forms[0][1]):
        raise Unprocessable(f"{child.name} is not given by parts; it needs a value.")
    name, type_name = child.forms[0]
    built: dict[str, Any] = {}
    for part in parts:
        below = places.named(type_name, part["name"])
        value = given(part, below, expression)
        refuse_other_form(part["name"], below, value)
        if below.is_list:
            _append(built, value)
        elif any(form in built or "_" + form in built for form, _ in below.forms):
            raise Unprocessable(f"{below.name} of {type_name} does not repeat, but is given twice.")
        else:
            built.update({key: one for key, one in ((value.name, value.value), ("_" + value.name, value.extra))
                          if one is not None})
    return Given(name, type_name, built)


def _append(built: dict[str, Any], value: Given) -> None:
    count = max(len(built.get(value.name, [])), len(built.get("_" + value.name, [])))
    for name, one in ((value.name, value.value), ("_" + value.name, value.extra)):
        if name in built or one is not None:
            items = built.setdefault(name, [])
            items.extend([None] * (count - len(items)))
            items.append(one)
