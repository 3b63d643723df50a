"""What an expression is compiled to: a function over collections, and what is known of its items beforehand.

https://hl7.org/fhirpath/N1/#evaluation
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .errors import FhirPathError
from .values import Element, to_system
from .watch import Watch

Items = list[Any]
#: Tells whether an item conforms to a profile; None where there is no such profile, or it cannot be told.
Conforms = Callable[[Element, str], bool | None]
#: Tells whether a value set, named first, has a code of a system; None where that is not known here.
Members = Callable[[str, str | None, str], bool | None]


class Frame:
    """What an evaluation can see besides its focus."""

    now: datetime | None = None
    descendants: Items | None = None
    at_hand: dict[str, dict[str, Any]] | None = None
    index: int | None = None
    total: Items = []  # noqa: RUF012 - replaced, never changed
    conforms: Conforms | None = None
    members: Members | None = None
    holders: dict[int, dict[str, Any]] | None = None
    entries: Items = []  # noqa: RUF012 - replaced, never changed
    inside: dict[int, dict[str, dict[str, Any]]] = {}  # noqa: RUF012 - replaced before it is changed

    def __init__(
        self,
        context: Items,
        resource: Any,
        root_resource: Any,
        variables: dict[str, Any] | None,
        watch: Watch | None = None,
    ) -> None:
        self.context = context
        self.resource = resource
        self.root_resource = root_resource
        self.variables = variables
        self.watch = watch


Run = Callable[[Frame, Items], Items]


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled expression and the type its items are known to have, None where only the items know."""

    run: Run
    type: str | None
    value: Items | None = None
    """What a literal always gives; None for everything else."""

    @property
    def is_boolean(self) -> bool:
        """Tell whether the expression gives true, false or nothing."""
        return self.type == "System.Boolean"


TRUE: Items = [True]
FALSE: Items = [False]
EMPTY: Items = []
"""Answers shared by all closures: nobody may change them."""


def boolean(value: bool | None) -> Items:
    """Give the collection of a three-valued answer."""
    return EMPTY if value is None else TRUE if value else FALSE


def constant(items: Items, type_name: str | None) -> Part:
    """Give the part that always answers the same."""
    return Part(lambda frame, focus: items, type_name, items)


def truth(items: Items) -> bool | None:
    """Read a collection where a Boolean is expected: https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections"""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"One Boolean was expected, {len(items)} items were found.")
    item = items[0]
    if item is True or item is False:
        return bool(item)
    if type(item) is Element and isinstance(item.value, bool):
        return item.value
    return True


def singleton(items: Items, part: Part, what: str) -> Any:
    """Give the one item as a value of the language, None if there is none; FhirPathError if there are more."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, {len(items)} were found.")
    item = items[0]
    return item if type(item) is str and part.type in TEXTS else to_system(item, part.type)


# Elements of these types mean just what their JSON string says, so that they compare without further ado.
TEXTS = frozenset(
    {"System.String", "string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary"}
)


def focus_itself(frame: Frame, focus: Items) -> Items:
    """Give what an expression is asked of, which paths begin with."""
    return focus
