"""Extensions by their own definitions: https://hl7.org/fhir/R4/defining-extensions.html"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hie.fhir import fhirpath
from hie.fhir.fhirpath import model
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.primitives import shown

from .library import Definition
from .place import Place

if TYPE_CHECKING:
    from .checking import Check


_R4 = "http://hl7.org/fhir/StructureDefinition/"
#: Where R4's own definitions, and those of every guide, have extensions that R4 defines for another place.
_ALSO_AT = {
    f"{_R4}structuredefinition-fhir-type": ("ElementDefinition.type",),
    f"{_R4}structuredefinition-normative-version": ("CanonicalResource", "ElementDefinition"),
    f"{_R4}regex": ("ElementDefinition.type",),
    f"{_R4}capabilitystatement-expectation": ("Element",),  # as later versions of it say
}


def check_all(check: Check, place: Place) -> None:
    """Check every extension below a value by its own definition, whether a profile speaks of it or not."""
    for name in _present(place):
        for one in place.children(name):
            if one.type == "Extension":
                _check(check, one)
            check_all(check, one)


def _present(place: Place) -> list[str]:
    """Name the elements of which a value has something: where extensions can be."""
    holder = place.value if isinstance(place.value, dict) else place.item.extra
    if not isinstance(holder, dict):
        return []
    elements = _elements(place.type)
    return list(dict.fromkeys(elements[key] for key in holder if key in elements))


@cache
def _elements(type_name: str) -> dict[str, str]:
    """Give the element of each JSON property of a type that is an object, or has one beside it."""
    names: dict[str, str] = {}
    for child in model.children(type_name).values():
        for property_, kind in child.forms:
            names["_" + property_ if model.is_primitive(kind) else property_] = child.name
    return names


def _check(check: Check, place: Place) -> None:
    url = place.value.get("url") if isinstance(place.value, dict) else None
    if not isinstance(url, str) or ":" not in url:
        _check_part(check, place, url)
        return
    definition = check.library.find(url)
    if check.only_stored and (definition is None or not definition.is_stored):
        return  # the other check has judged it, or told that nobody defines it
    if definition is not None and definition.type == "Extension":
        check.against(place, definition)
    elif check.elsewhere is not None and check.elsewhere.find(url) is not None:
        return  # the check of stored definitions judges it
    elif place.name == "modifierExtension":
        text = f"The modifier extension {url[:200]} is not defined by an installed package."
        check.tell("warning", "extension", text, place.path)
    else:
        check.unknown.add(url)


def _check_part(check: Check, place: Place, url: Any) -> None:
    """Check that the definition of a complex extension has the part: its URL means nothing elsewhere.

    https://hl7.org/fhir/R4/defining-extensions.html: the parts are slices of Extension.extension
    """
    around = place.parent.value if place.parent is not None else None
    outer = around.get("url") if isinstance(around, dict) and place.parent is not None else None
    if not isinstance(outer, str) or ":" not in outer or place.parent is None or place.parent.type != "Extension":
        return
    definition = check.library.find(outer)
    if definition is None or definition.type != "Extension" or (check.only_stored and not definition.is_stored):
        return
    parts = definition.root.children.get("extension")
    check.count(len(parts.slices) if parts is not None else 0)
    known = [child.value_of("fixed") for slice_ in parts.slices.values()
             if (child := slice_.children.get("url")) is not None] if parts is not None else []
    if known and url not in known:
        text = f"The extension {outer[:200]} has no part {shown(url)}; it has: {', '.join(map(str, known))[:500]}."
        check.tell("error", "extension", text, place.path)


def check_context(check: Check, place: Place, definition: Definition) -> None:
    """Check that an extension stands where its definition lets it, and that what has to hold there does.

    https://hl7.org/fhir/R4/structuredefinition-definitions.html#StructureDefinition.contextInvariant
    """
    if place.parent is None:
        return
    _check_kind(check, place, definition)
    _check_place(check, place, place.parent, definition)
    for expression in definition.resource.get("contextInvariant") or ():
        check.count()
        if _holds(check, str(expression), place, place.parent, definition) is False:
            text = f"The extension {definition.url} may stand only where this holds: {str(expression)[:200]}"
            check.tell("error", "extension", text, place.path)


def _check_kind(check: Check, place: Place, definition: Definition) -> None:
    """Check that what modifies its element says so, and nothing else does; who reads over one must not miss the other.

    https://hl7.org/fhir/R4/extensibility.html#modifierExtension
    """
    is_modifier = definition.root.definition.get("isModifier")
    if is_modifier is True and place.name == "extension":
        check.tell("error", "extension", f"The extension {definition.url} modifies what it stands in; it belongs in "
                   "modifierExtension.", place.path)
    elif is_modifier is False and place.name == "modifierExtension":
        check.tell("error", "extension", f"The extension {definition.url} modifies nothing; it belongs in extension.",
                   place.path)


def _holds(check: Check, expression: str, place: Place, parent: Place, definition: Definition) -> bool | None:
    """Ask the element that holds an extension, which is %extension there; None where that cannot be told."""
    focus = parent.value if type(parent.value) is dict else parent.item
    try:
        return definition.root.compiled(expression, parent.type).holds(
            focus, resource=place.around.resource, root_resource=place.around.root,
            variables={"extension": place.item}, watch=check.watch if definition.is_stored else None,
            conforms=lambda item, canonical: check.conforms_to(item, canonical, place.around))
    except fhirpath.FhirPathError as error:
        check.is_cut |= isinstance(error, FhirPathLimit)
        text = f"contextInvariant of {definition.url} could not be evaluated: {error}"
        check.tell("information", "informational", text, place.path)
        return None


def _check_place(check: Check, place: Place, parent: Place, definition: Definition) -> None:
    rows = definition.resource.get("context")
    if not isinstance(rows, list) or not rows:
        return
    rows = rows + [{"type": "element", "expression": one} for one in _ALSO_AT.get(str(definition.url), ())]
    check.count(len(rows))
    if not any(_allows(check, row, parent, definition) for row in rows if isinstance(row, dict)):
        allowed = ", ".join(str(row.get("expression")) for row in rows if isinstance(row, dict))
        check.tell("error", "extension", f"The extension {definition.url} is for {allowed}; it stands in "
                   f"{parent.type}.", place.path)


def _allows(check: Check, row: dict[str, Any], parent: Place, definition: Definition) -> bool:
    expression = str(row.get("expression", "")).removesuffix("[x]")
    kind = row.get("type")
    if kind == "extension":
        return _is_in(parent, expression)
    if kind == "fhirpath":
        return _is_selected(check, str(row.get("expression", "")), parent, definition)
    if kind != "element" or ":" in expression:
        return True  # of a profile's element: not decided here
    if expression == "Element":  # R4's own definitions mean resources as well
        return True
    if expression == "CanonicalResource":  # R5's word in definitions made for several versions
        return model.children(parent.type).get("url") is not None
    return model.is_a(parent.type, expression) or _is_at(parent, expression)


def _is_in(parent: Place, expression: str) -> bool:
    """Tell whether an element is an extension, or the value of one; `url#part` means a part of a complex one."""
    url, _, part = expression.partition("#")
    outer = parent.parent if parent.name == "value" and parent.type != "Extension" else parent
    if part and outer is not None:
        return _is_extension(outer, part) and outer.parent is not None and _is_extension(outer.parent, url)
    return outer is not None and _is_extension(outer, url)


def _is_extension(place: Place, url: str) -> bool:
    return place.type == "Extension" and isinstance(place.value, dict) and place.value.get("url") == url


def _is_selected(check: Check, expression: str, parent: Place, definition: Definition) -> bool:
    """Tell whether a FHIRPath, asked of the resource, selects an element; what cannot be decided counts as yes."""
    resource = parent.around.resource
    found = check.selected(expression, resource, definition)
    if found is None:
        return True
    check.count(len(found))
    if isinstance(parent.value, dict):
        return any(one.value is parent.value for one in found)
    # Primitives have no identity: one of this type with this value is meant.
    return parent.value is None or any(one.value == parent.value and one.type == parent.type for one in found)


def _is_at(place: Place, path: str) -> bool:
    """Tell whether a value is of an element, as `Patient.name` or, of all resources, `DomainResource.text`."""
    at: Place | None = place
    while at is not None and at.parent is not None:
        path, _, name = path.rpartition(".")
        if name != at.name:
            return False
        at = at.parent
        if model.is_a(at.type, path):
            return True
    return False
