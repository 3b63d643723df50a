"""The steps of a path: https://hl7.org/fhirpath/N1/#path-selection

Elements of known type are plain JSON values, found by properties known beforehand. Of others each item has its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hie.fhir.facts import NAMES_KEPT

from . import model
from .parts import EMPTY, Frame, Items, Part, Run, constant, focus_itself
from .values import Element, type_of


def steps(start: Part, names: Sequence[str]) -> Part:
    """Compile the steps of a path: those of known type in one loop, the rest item by item."""
    part = start
    known: list[tuple[str, str | None]] = []
    type_name = start.type
    for name in names:
        form = only_form(type_name, name)
        if form is None:
            part = _dynamic(_static(part, known, type_name), name)
            type_name, known = part.type, []
            continue
        property_, type_name = form
        known.append((property_, "_" + property_ if model.is_primitive(type_name) else None))
    return _static(part, known, type_name)


def has_no_child(type_name: str | None, name: str) -> bool:
    """Tell whether a type is known to have no element of a name."""
    if type_name is None or type_name in ("Resource", "DomainResource", "Element", "BackboneElement"):
        return False
    return name not in model.children(type_name)


def known_children(type_name: str | None) -> dict[str, model.Child]:
    """Give the elements of a type by name; none where the type is not known before running."""
    return model.children(type_name) if type_name is not None else {}


def only_form(type_name: str | None, name: str) -> tuple[str, str] | None:
    """Give the property and type of an element that can have only one; None if that is not known before running."""
    child = known_children(type_name).get(name)
    if child is None or len(child.forms) != 1:
        return None
    if type_name is not None and model.is_primitive(type_name):
        return None  # lies in the Element of the primitive
    return child.forms[0]


def _static(start: Part, known: list[tuple[str, str | None]], type_name: str | None) -> Part:
    if not known:
        return start
    run = start.run
    last_property, extra = known[-1]
    before = tuple(property_ for property_, _ in known[:-1])
    from_focus = run is focus_itself

    def walk(frame: Frame, focus: Items) -> Items:
        items = focus if from_focus else run(frame, focus)
        for property_ in before:
            found: Items = []
            for item in items:
                if type(item) is dict:
                    value = item.get(property_)
                    if type(value) is list:
                        found.extend(value)
                    elif value is not None:
                        found.append(value)
            if not found:
                return EMPTY
            items = found
        return last(items)

    def complex_(items: Items) -> Items:
        found: Items = []
        for item in items:
            if type(item) is dict:
                value = item.get(last_property)
                if type(value) is list:
                    found.extend(value)
                elif value is not None:
                    found.append(value)
        return found

    def primitive(items: Items) -> Items:
        found: Items = []
        for item in items:
            if type(item) is dict:
                value = item.get(last_property)
                if extra in item:
                    found.extend(_with_extras(value, item[extra], str(type_name)))
                elif type(value) is list:
                    found.extend(value)
                elif value is not None:
                    found.append(value)
        return found

    last = complex_ if extra is None else primitive
    if from_focus and not before:
        return Part(lambda frame, focus: last(focus), type_name)
    return Part(walk, type_name)


def _with_extras(value: Any, extra: Any, type_name: str) -> Items:
    """Join the values of a primitive element with their ids and extensions."""
    if isinstance(value, list) or isinstance(extra, list):
        values = value if isinstance(value, list) else []
        extras = extra if isinstance(extra, list) else []
        count = max(len(values), len(extras))
        pairs = [
            (values[at] if at < len(values) else None, extras[at] if at < len(extras) else None) for at in range(count)
        ]
    else:
        pairs = [(value, extra)]
    return [
        Element(one, type_name, more) if isinstance(more, dict) else one
        for one, more in pairs
        if one is not None or isinstance(more, dict)
    ]


def _dynamic(start: Part, name: str) -> Part:
    run, own = start.run, start.type
    if own is None or own in ("Resource", "DomainResource") or model.is_primitive(own):
        return _by_item(run, own, name)
    if name not in model.children(own):
        return constant(EMPTY, None)
    properties, from_focus = _properties(own, name), run is focus_itself

    def choice(frame: Frame, focus: Items) -> Items:
        found: Items = []
        for item in focus if from_focus else run(frame, focus):
            _gather(item.value if type(item) is Element else item, properties, found)
        return found

    return Part(choice, None)


def _by_item(run: Run, own: str | None, name: str) -> Part:
    """Compile a step from items of which each has its own type."""

    def walk(frame: Frame, focus: Items) -> Items:
        found: Items = []
        for item in run(frame, focus):
            if type(item) is Element and type(item.value) is dict:
                property_, type_name = _plain_form(item.type, name)
                value = item.value.get(property_)
                if value is not None and type(value) is not list and "_" + property_ not in item.value:
                    found.append(Element(value, type_name))
                    continue
            found.extend(child_items(item, own, name))
        return found

    return Part(walk, None)


@lru_cache(maxsize=NAMES_KEPT)
def _plain_form(type_name: str, name: str) -> tuple[str, str]:
    """Give the property and type of an element with one form; a property that none has for every other."""
    child = model.children(type_name).get(name)
    if child is None or len(child.forms) != 1 or child.forms[0][1] == "Resource":
        return "", ""
    return child.forms[0]


def child_items(item: Any, own: str | None, name: str) -> Items:
    """Give the elements of one name below an item, with their types; `own` is the item's type where it is known."""
    type_name = type_of(item, own)
    holder: Any = item.value if type(item) is Element else item
    if type(holder) is not dict:
        holder = item.extra if type(item) is Element else None
    found: Items = []
    _gather(holder, _properties(type_name, name), found)
    return found


@lru_cache(maxsize=NAMES_KEPT)
def _properties(type_name: str, name: str) -> dict[str, tuple[str, str]]:
    """Give the JSON properties one element may stand in, those of its extensions too: each with its type."""
    child = model.children(type_name).get(name)
    forms: dict[str, tuple[str, str]] = {}
    for property_, child_type in child.forms if child is not None else ():
        forms[property_] = (property_, child_type)
        if model.is_primitive(child_type):
            forms["_" + property_] = (property_, child_type)
    return forms


def _gather(holder: Any, properties: dict[str, tuple[str, str]], found: Items) -> None:
    if type(holder) is not dict:
        return
    for key in holder if len(holder) < len(properties) else properties:
        form = properties.get(key)
        if form is None or key not in holder:
            continue
        property_, type_name = form
        value, extra = holder.get(property_), holder.get("_" + property_)
        if key != property_ and value is not None:
            continue  # taken with its value
        if extra is None and type(value) is not list and type_name != "Resource":
            if value is not None:
                found.append(Element(value, type_name))
        else:
            found.extend(boxed(value, extra, type_name))


def boxed(value: Any, extra: Any, type_name: str) -> Items:
    """Give values as Elements that carry their type."""
    if model.is_primitive(type_name):
        items = _with_extras(value, extra, type_name)
        return [one if type(one) is Element else Element(one, type_name) for one in items if one is not None]
    values = value if isinstance(value, list) else [value]
    return [Element(one, type_of(one, type_name)) for one in values if one is not None]


def box(part: Part) -> Part:
    """Let the items of a part carry their type, for where parts of several types meet."""
    own, run = part.type, part.run
    if own is None or own.startswith("System."):
        return part

    def walk(frame: Frame, focus: Items) -> Items:
        return [item if type(item) is Element else Element(item, type_of(item, own)) for item in run(frame, focus)]

    return Part(walk, None)
