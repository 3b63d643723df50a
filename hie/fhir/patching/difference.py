"""Two resources -> the FHIRPath Patch that makes the one into the other: https://hl7.org/fhir/R4/fhirpatch.html

The law: parse(difference(a, b)).applied(a) is b, apart from the order of properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hie.fhir.fhirpath import model
from hie.fhir.fhirpath.model import Child
from hie.fhir.patching.tree import is_equal

Json = dict[str, Any]


def difference(before: Json, after: Json, *, hidden: Sequence[str] = ()) -> Json:
    """Return the Parameters of the patch between two resources of one type; `hidden` elements are not compared."""
    type_name = str(before["resourceType"])
    rows = list(_element(before, after, type_name, type_name, hidden))
    parameters: Json = {"resourceType": "Parameters"}
    return parameters | {"parameter": rows} if rows else parameters


def _element(
    before: Json, after: Json, type_name: str, path: str, hidden: Sequence[str] = ()
) -> Iterator[Json]:
    """Yield the operations that make one element's own elements those of the other."""
    for child in model.children(type_name).values():
        if child.name in hidden:
            continue
        if child.is_list:
            yield from _list(before, after, child, path)
        else:
            yield from _single(before, after, child, path)


def _single(before: Json, after: Json, child: Child, path: str) -> Iterator[Json]:
    old, new = _form(before, child), _form(after, child)
    place = f"{path}.{child.name}"
    if old is None and new is None:
        return
    if new is None:
        yield _operation("delete", place)
    elif old is None:
        yield _operation("add", path, {"name": "name", "valueString": child.name}, _value(after, *new))
    elif old != new or _is_plain(new[1]) or new[1] == "Resource":
        if old != new or not _same(before, after, new[0]):
            yield _operation("replace", place, _value(after, *new))
    else:
        yield from _element(before[old[0]], after[new[0]], new[1], place)


def _list(before: Json, after: Json, child: Child, path: str) -> Iterator[Json]:
    """Yield what makes one list the other: equal ends stay, the middle is changed item by item."""
    name, form = child.forms[0]
    old, new = _items(before, name), _items(after, name)
    place = f"{path}.{child.name}"
    start = 0
    while start < min(len(old), len(new)) and is_equal(old[start], new[start]):
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and is_equal(old[-1 - end], new[-1 - end]):
        end += 1
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    both = min(len(middle_old), len(middle_new))
    for number in range(both):
        here = f"{place}[{start + number}]"
        one, other = middle_old[number], middle_new[number]
        if _is_plain(form) or form == "Resource":
            yield _operation("replace", here, _part(name, form, *other))
        else:
            yield from _element(one[0], other[0], form, here)
    for number in reversed(range(both, len(middle_old))):
        yield _operation("delete", f"{place}[{start + number}]")
    for number in range(both, len(middle_new)):
        at = start + number
        value = _part(name, form, *middle_new[number])
        if old:
            yield _operation("insert", place, {"name": "index", "valueInteger": at}, value)
        else:
            yield _operation("add", path, {"name": "name", "valueString": child.name}, value)


def _items(owner: Json, name: str) -> list[tuple[Any, Any]]:
    """Return the items of a list, each with its id and extensions where it is a primitive."""
    values, extras = owner.get(name) or [], owner.get("_" + name) or []
    count = max(len(values), len(extras))
    values, extras = [*values, *[None] * (count - len(values))], [*extras, *[None] * (count - len(extras))]
    return list(zip(values, extras, strict=True))


def _form(owner: Json, child: Child) -> tuple[str, str] | None:
    """Return the property and the type in which an element is there."""
    return next((form for form in child.forms if form[0] in owner or "_" + form[0] in owner), None)


def _same(before: Json, after: Json, name: str) -> bool:
    return all(is_equal(before.get(one), after.get(one)) for one in (name, "_" + name))


def _is_plain(type_name: str) -> bool:
    return model.is_primitive(type_name)


def _value(owner: Json, name: str, type_name: str) -> Json:
    return _part(name, type_name, owner.get(name), owner.get("_" + name))


def _part(name: str, type_name: str, value: Any, extra: Any) -> Json:
    """Write the part `value` of an operation: a value[x], a resource, or parts for what has no type of its own."""
    return {"name": "value", **_written(type_name, value, extra)}


def _written(type_name: str, value: Any, extra: Any) -> Json:
    if type_name == "Resource":
        return {"resource": value}
    if type_name == "xhtml":  # it has no value[x]; its text stands for it
        type_name = "string"
    elif type_name not in _types_of_values() and not model.is_primitive(type_name):
        return {"part": list(_parts(type_name, value))}
    property_ = f"value{type_name[0].upper()}{type_name[1:]}"
    row: Json = {}
    if value is not None:
        row[property_] = value
    if extra is not None:
        row["_" + property_] = extra
    return row


@cache
def _types_of_values() -> frozenset[str]:
    """Name the types that value[x] of a parameter may have."""
    return frozenset(form for _, form in model.children("Parameters.parameter")["value"].forms)


def _parts(type_name: str, value: Json) -> Iterator[Json]:
    for child in model.children(type_name).values():
        if child.is_list:
            name, form = child.forms[0]
            for item, extra in _items(value, name):
                yield {"name": child.name, **_written(form, item, extra)}
        else:
            form_ = _form(value, child)
            if form_ is not None:
                yield {"name": child.name, **_written(form_[1], value.get(form_[0]), value.get("_" + form_[0]))}


def _operation(type_: str, path: str, *parts: Json) -> Json:
    rows: list[Json] = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}, *parts]
    return {"name": "operation", "part": rows}
