"""Orders drawn by hypothesis, over references too, and what each puts first, told from the JSON of the records.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import total_ordering
from typing import Any

from hypothesis import strategies as st

from hie.fhir import search_parameters
from tests.property.plain_filter import GET, KINDS, Json, codings, listed, plain, spans
from tests.property.test_search_joins import ENDS, REFERENCES, World

Worths = Callable[[Json], list[Any]]
"""All values that a record is sorted by."""


@total_ordering
class Down:
    """A value that comes the earlier the greater it is."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Down) and self.value == other.value

    def __lt__(self, other: Down) -> bool:
        return bool(other.value < self.value)


def compared(value: Any, kind: str) -> list[Any]:
    """What one element gives to compare."""
    if kind == "string":
        return [plain(value)[:200]]
    if kind == "date":
        return [start for start, _ in spans(value)]
    if kind == "quantity":
        least = -math.inf if "<" in value.get("comparator", "") else float(value["value"])
        return [math.nextafter(least, math.inf) if value.get("comparator") == ">" else least]
    if kind == "reference":
        return ["/".join(text.split("/")[-2:]) for text in listed(value.get("reference"))] or [
            one["value"] for one in listed(value.get("identifier"))]  # fmt: skip
    return [f"{code}\n{system or ''}"[:200] for system, code in codings(value)]


def own(type_name: str, code: str) -> Worths:
    if code == "_id":
        return lambda record: [record["id"]]
    if code == "_tag":
        return lambda record: compared(record["meta"]["tag"], "token")
    get = GET.get(type_name, {}).get(code, lambda record: [])
    return lambda record: [one for value in get(record) for one in compared(value, KINDS.get(code, "token"))]


@st.composite
def key(draw: st.DrawFn, here: World, type_name: str, hops_left: int) -> tuple[str, Worths]:
    """A parameter of a type, or a chain that ends in one."""
    if not hops_left:
        code = draw(st.sampled_from([*sorted(GET[type_name]), "_id", "_tag"]))
        return code, own(type_name, code)
    code = draw(st.sampled_from(sorted(REFERENCES[type_name])))
    get, only = REFERENCES[type_name][code]
    types = ENDS.get(code, [only or ""])
    further = draw(st.integers(0, hops_left - 1))
    name, below = draw(key(here, types[0], further))
    written = draw(st.sampled_from([f"{code}:{types[0]}", f"{types[0]}:{code}", code]))
    ends = {types[0]: below}
    if written == code and not further:  # the parameter is asked of every type that has it
        ends |= {one: own(one, name) for one in types[1:] if name in search_parameters.for_type(one)}
    return f"{written}.{name}", lambda record: [
        value for one in here.at(get(record), [*ends]) for value in ends[one["resourceType"]](one)]  # fmt: skip


@st.composite
def order(draw: st.DrawFn, here: World, type_name: str) -> tuple[str, Callable[[Json], tuple[Any, ...]]]:
    """Several keys, one over references at least; and where they put a record."""
    depths = draw(st.sampled_from([(1,), (2,), (3,), (1, 0), (0, 1), (2, 1), (1, 0, 1), (0, 2, 0), (1, 1, 1)]))
    keys = [(draw(st.booleans()), *draw(key(here, type_name, depth))) for depth in depths]
    text = ",".join(f"{'-' if falls else ''}{name}" for falls, name, _ in keys)

    def place(record: Json) -> tuple[Any, ...]:
        return tuple(_placed(worths(record), falls=falls) for falls, _, worths in keys)

    return text, place


def _placed(found: list[Any], *, falls: bool) -> tuple[Any, ...]:
    """Without a value last, either way; of several the one that comes first in the order."""
    if not found:
        return (1,)
    return (0, Down(max(found)) if falls else min(found))
