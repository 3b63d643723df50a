"""Which items of an element a query means: by its arguments, by FHIRPath, and by the slice that each is in.

https://hl7.org/fhir/R4/graphql.html#list
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hie.errors import TooCostly
from hie.fhir.fhirpath import Allowance, Compiled, FhirPathError, Watch, compile_once
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.operations.graphql.budget import MOST_HANDLED, MOST_SECONDS, Budget
from hie.operations.graphql.checking import invalid
from hie.operations.graphql.document import BUILT_IN, Field
from hie.operations.graphql.nodes import Node
from hie.operations.graphql.searching import text_of

#: Arguments that say where items stand, whatever they are.
_PLACES = frozenset({"_offset", "_count"})


class Choosing:
    """Chooses within the bounds of one query; each FHIRPath is compiled once for it."""

    def __init__(self, budget: Budget, allowance: Allowance | None) -> None:
        self._budget = budget
        self._watch = Watch(MOST_SECONDS, MOST_HANDLED, allowance=allowance)
        self._paths: dict[tuple[str, str], Compiled] = {}

    def items(self, node: Node, one: Field, form: str) -> list[Any]:
        """Return the values of an element that its arguments and @first let through.

        None among them is where a value has extensions alone, or none: given and _given go side by side.
        """
        value = node.value.get(one.name) if isinstance(node.value, Mapping) else None
        items = [] if value is None else list(value) if isinstance(value, list) else [value]
        _check_plain_values(one)
        if one.arguments.keys() - _PLACES or one.directives.keys() - BUILT_IN:
            items = [item for item in items if item is not None and self._holds(item, one, form)]
        offset, count = number_of(one, "_offset", 0), number_of(one, "_count", len(items))
        items = items[offset : offset + count]
        return items[:1] if "first" in one.directives else items

    def _holds(self, item: Any, one: Field, form: str) -> bool:
        for name, value in one.arguments.items():
            if name in _PLACES:
                continue
            if name == "fhirpath":
                if not self.is_true(str(value), form, item, one):
                    return False
                continue
            if not isinstance(item, Mapping) or text_of(item.get(name)) != text_of(value):
                return False
        return True

    def is_true(self, path: str, form: str, item: Any, one: Field) -> bool:
        """Ask a FHIRPath of an item or a match."""
        self._budget.spend(50)
        try:
            return self._path(path, form).holds(item, watch=self._watch) is True
        except FhirPathLimit as error:
            raise TooCostly(f"fhirpath of {one.name}: {error}", expression="query") from None
        except FhirPathError as error:
            raise invalid(f"fhirpath of {one.name}: {str(error)[:300]}.") from error

    def sliced(self, one: Field, key: str, form: str, number: int, item: Any) -> str:
        """Return a key with what @slice appends to it for an item."""
        if "slice" not in one.directives:
            return key
        path = str(one.directives["slice"]["path"])
        found = f"{key}.{number if path == '$index' else self._first_text(path, form, item)}"
        self._budget.spend_texts((found,))
        return found

    def _first_text(self, path: str, form: str, item: Any) -> str:
        self._budget.spend(50)
        try:
            found = self._path(path, form).evaluate(item, watch=self._watch)
        except FhirPathLimit as error:
            raise TooCostly(f"path of @slice: {error}", expression="query") from None
        except FhirPathError as error:
            raise invalid(f"path of @slice: {str(error)[:300]}.") from error
        return text_of(found[0]) if found else ""

    def _path(self, text: str, form: str) -> Compiled:
        if (text, form) not in self._paths:
            self._paths[(text, form)] = compile_once(text, form)
        return self._paths[(text, form)]


def _check_plain_values(one: Field) -> None:
    """Refuse lists as arguments of an element, each of which is compared with one value."""
    wrong = next((name for name, value in one.arguments.items() if isinstance(value, list)), None)
    if wrong is not None:
        raise invalid(f"{wrong[:80]} of {one.name} is a list; one value is expected.")


def number_of(one: Field, name: str, default: int) -> int:
    """Read an argument that is a number from 0."""
    text = text_of(one.arguments.get(name, default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise invalid(f"{name} of {one.name} is {text[:80]!r}; it must be a whole number from 0.")
    return int(text)
