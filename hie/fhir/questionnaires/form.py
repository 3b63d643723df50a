"""A questionnaire made ready to judge answers by: https://hl7.org/fhir/R4/questionnaire.html"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from hie.fhir import json_format, modifiers

from .answers import Options
from .values import extensions, is_marked

Json = dict[str, Any]


class Level:
    """The items that stand side by side: each by its linkId, and those that may have to be there."""

    __slots__ = ("by_link", "wanted")

    def __init__(self, items: Any) -> None:
        self.by_link: dict[str, Json] = {str(one.get("linkId")): one for one in items}
        self.wanted = [link for link, one in self.by_link.items() if least(one) > 0]


def least(item: Json) -> int:
    """Tell how often an item has to be there, where it is enabled."""
    if item.get("type") == "display" or is_marked(item, "questionnaire-hidden"):
        return 0
    return max([int(item.get("required") is True), *(
        one.value for one in extensions(item, "questionnaire-minOccurs") if isinstance(one.value, int))])


_NONE = Level(())
#: Of an item: what decides whether it is asked, and what it takes.
_PARTS = ("enableWhen", "answerOption", "initial")


class Form:
    """What one questionnaire asks for, read as far as answers make it necessary."""

    def __init__(self, questionnaire: Json, container: Json | None = None) -> None:
        self.questionnaire = questionnaire
        self.container = questionnaire if container is None else container
        """The resource that contains what `#id` names."""
        self.links = frozenset(str(one.get("linkId")) for one in _all_items(questionnaire))
        self._levels: dict[int, Level] = {}
        self._options: dict[int, Options] = {}
        self._value_sets: dict[str, Json] | None = None

    @cached_property
    def is_modified(self) -> bool:
        """Tell whether it, or an item, means something else by rules or modifiers that nobody knows here."""
        rows = (self.questionnaire, *_all_items(self.questionnaire))
        return any(modifiers.has(one) or any(modifiers.has(part) for name in _PARTS for part in one.get(name, ()))
                   for one in rows)  # fmt: skip

    @cached_property
    def size(self) -> int:
        """Bytes of the questionnaire."""
        return len(json_format.dump(self.questionnaire))

    def value_set(self, reference: str) -> Json | None:
        """Give a value set that is contained."""
        if self._value_sets is None:
            self._value_sets = {f"#{one.get('id')}": one for one in self.container.get("contained", ())
                                if one.get("resourceType") == "ValueSet"}  # fmt: skip
        return self._value_sets.get(reference)

    def level(self, holder: Json) -> Level:
        """Give the items of the questionnaire, or of one of its items."""
        if "item" not in holder:
            return _NONE
        if id(holder) not in self._levels:
            self._levels[id(holder)] = Level(holder["item"])
        return self._levels[id(holder)]

    def options(self, question: Json) -> Options:
        """Give what a question takes for an answer."""
        if id(question) not in self._options:
            self._options[id(question)] = Options(question)
        return self._options[id(question)]


def _all_items(holder: Json) -> Iterator[Json]:
    for one in holder.get("item", ()):
        yield one
        yield from _all_items(one)
