"""Which question decides whether an item is asked: https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen.question

It is found among what stands around, before and after the item. A question inside of the item is disabled with it, so
such a condition is never met.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

Json = dict[str, Any]


class _Item(NamedTuple):
    value: Json
    path: str
    first: int
    """Its number among all items in the order in which they stand."""


def of(questionnaire: Json) -> Iterator[Problem]:
    """Give the conditions that name no question, or one that they cannot mean."""
    items = list(_items(questionnaire))
    ends = _ends(items)
    numbers: dict[str, list[int]] = defaultdict(list)
    for item in items:
        if isinstance(link := item.value.get("linkId"), str):
            numbers[link].append(item.first)
    for item in items:
        for index, condition in enumerate(item.value.get("enableWhen", ())):
            question = condition.get("question")
            if not isinstance(question, str):
                continue
            where = f"{item.path}.enableWhen[{index}].question"
            if question not in numbers:
                yield where, "error", "not-found", f"No item has the linkId {shown(question)}."
            # linkIds are there once (que-2).
            elif item.first <= numbers[question][0] < ends[item.first]:
                text = f"{shown(question)} is the item itself or inside of it, and disabled with it: it is never asked."
                yield where, "error", "business-rule", text


def _items(questionnaire: Json) -> Iterator[_Item]:
    count, waiting = 0, _inside(questionnaire, "")
    while waiting:
        value, path = waiting.pop()
        yield _Item(value, path, count)
        count += 1
        waiting += _inside(value, path)


def _inside(holder: Json, path: str) -> list[tuple[Json, str]]:
    rows = holder.get("item", ())
    return [(one, f"{path}.item[{index}]") for index, one in enumerate(rows)][::-1]


def _ends(items: list[_Item]) -> list[int]:
    """Give for each item the number after that of the last one inside of it."""
    ends = [item.first + 1 for item in items]
    for number in range(len(items) - 1, -1, -1):
        at = number + 1
        for _ in items[number].value.get("item", ()):
            at = ends[at]
        ends[number] = at
    return ends
