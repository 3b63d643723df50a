"""Resources as they are given to mutations, in the query or by variables: https://hl7.org/fhir/R4/graphql.html

https://spec.graphql.org/October2021/#sec-Input-Coercion: a value stands for a list of one, null for what is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.errors import InvalidRequest, TooLarge
from hie.fhir import facts
from hie.fhir.json_format import DEFAULT_MAX_DEPTH
from hie.operations.graphql.checking import name_of, properties

#: Characters of JSON for what stands around a value.
_MARKS = 4
#: Characters for which an object or a list counts, also an empty one: it takes twice as many bytes of memory.
_BEGUN = 32


@dataclass(slots=True)
class Inputs:
    """What one request gives: a variable may be named again and again, so that what it becomes is counted."""

    most: int
    _size: int = 0

    def resource(self, type_name: str, value: Any) -> dict[str, Any]:
        """Return a resource as JSON would have it; whether it is a valid one the interaction tells."""
        if not isinstance(value, dict):
            raise InvalidRequest(f"The resource is no object; a {type_name} is expected.", expression="query")
        found: dict[str, Any] = {"resourceType": type_name} | self._object(type_name, value, 1)
        return found

    def _value(self, form: str, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._object(form, value, depth)
        if isinstance(value, list):  # where no list is expected
            return self._items(form, value, depth)
        self._spend(len(value) if isinstance(value, str) else _MARKS)
        return value

    def _object(self, form: str, value: dict[str, Any], depth: int) -> dict[str, Any]:
        self._begin(depth)
        if form == "Resource":
            named = value.get("resourceType")
            form = named if isinstance(named, str) and named in facts.RESOURCE_TYPES else ""
        known = properties(form) if form else {}
        found: dict[str, Any] = {}
        for name, one in value.items():
            if one is None:
                continue
            self._spend(len(name) + _MARKS)
            below, is_list = known.get(name, ("", False))
            if is_list:
                found[name] = self._items(below, one if isinstance(one, list) else [one], depth + 1)
            else:
                found[name] = self._value(below, one, depth + 1)
        return found

    def _items(self, form: str, values: list[Any], depth: int) -> list[Any]:
        self._begin(depth)
        return [self._value(form, one, depth + 1) for one in values]

    def _begin(self, depth: int) -> None:
        """Count an object or a list, also an empty one."""
        if depth > DEFAULT_MAX_DEPTH:
            raise InvalidRequest(f"A resource that is given is nested deeper than {DEFAULT_MAX_DEPTH} levels.",
                                 expression="query")
        self._spend(_BEGUN)

    def _spend(self, size: int) -> None:
        self._size += size
        if self._size > self.most:
            raise TooLarge(f"The resources that are given have more than {self.most} characters together "
                           f"(each object and list counts for {_BEGUN}).",
                           expression="query")


def input_name(form: str) -> str:
    """Name the input type of a resource or data type; Task.input has the name TaskInput already."""
    name = f"{name_of(form)}Input"
    return f"{name}Value" if properties(form).get("input", ("",))[0] == f"{form}.input" else name
