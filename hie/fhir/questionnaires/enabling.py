"""Whether an item is enabled: https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .values import Value, compared, read, same

Json = dict[str, Any]
#: The items and answers that an item lies in, from the outermost.
Chain = tuple[int, ...]

#: Comparisons of places in one response: a group may repeat thousands of times, and each time ask for all others.
MOST_LOOKED_AT = 200_000
_ORDERED: dict[str, Callable[[int], bool]] = {
    ">": lambda order: order > 0, "<": lambda order: order < 0,
    ">=": lambda order: order >= 0, "<=": lambda order: order <= 0,
}  # fmt: skip


class Answers:
    """The answers of a response by linkId, with where each stands."""

    def __init__(self, response: Json) -> None:
        self._by_link: dict[str, list[tuple[Chain, list[Value]]]] = {}
        self._left = MOST_LOOKED_AT
        self._read(response.get("item", ()), ())

    def _read(self, items: Any, chain: Chain) -> None:
        for item in items:
            answers = item.get("answer", ())
            values = [value for one in answers if (value := read(one, "value")) is not None]
            self._by_link.setdefault(str(item.get("linkId")), []).append((chain, values))
            self._read(item.get("item", ()), (*chain, id(item)))
            for one in answers:
                self._read(one.get("item", ()), (*chain, id(item), id(one)))

    def nearest(self, link_id: str, chain: Chain) -> list[Value] | None:
        """Give the answers to a question that stand nearest; None where there is too much to look at."""
        rows = self._by_link.get(link_id, ())
        if self._left >= 0:  # what all others have would be counted anew for each
            self._left -= len(rows) + sum(len(values) for _, values in rows)
        if self._left < 0:
            return None
        shared = [_shared(chain, of) for of, _ in rows]
        most = max(shared, default=0)
        return [value for (_, values), near in zip(rows, shared, strict=True) if near == most for value in values]


def _shared(one: Chain, other: Chain) -> int:
    for depth, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return depth
    return min(len(one), len(other))


def is_enabled(item: Json, chain: Chain, answers: Answers) -> bool | None:
    """Tell whether an item of a questionnaire is enabled in a place; None where that cannot be told."""
    rows = item.get("enableWhen", ())
    if not rows:
        return True
    found = [_holds(row, answers.nearest(str(row.get("question")), chain)) for row in rows]
    if len(found) > 1 and item.get("enableBehavior") == "all":
        return False if False in found else None if None in found else True
    return True if True in found else None if None in found else False


def _holds(row: Json, given: list[Value] | None) -> bool | None:
    wanted, operator = read(row, "answer"), row.get("operator")
    if wanted is None or given is None:
        return None
    if operator == "exists":
        return bool(given) == wanted.value
    found = [_is(operator, one, wanted) for one in given]
    return True if True in found else None if None in found else False


def _is(operator: Any, given: Value, wanted: Value) -> bool | None:
    if operator in ("=", "!="):
        found = same(given, wanted)
        return None if found is None else found == (operator == "=")
    order = compared(given, wanted)
    return None if order is None or operator not in _ORDERED else _ORDERED[operator](order)
