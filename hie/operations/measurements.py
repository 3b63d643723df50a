"""The measurements that $stats computes over: of an Observation, of its components, and of a panel's members.

https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite
from typing import Any

import orjson

from hie.context import Context
from hie.errors import TooCostly, Unprocessable
from hie.fhir import references, search_parameters, ucum
from hie.operations import scanning
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

#: So many measurements are held at once, 16 bytes or so each.
MOST = 500_000

Code = tuple[str, str]
"""System and code."""


@dataclass(slots=True)
class Series:
    """The measurements of one code, in the unit of the most recent of them."""

    coding: dict[str, Any]
    unit: str | None = None
    points: list[tuple[int | None, float]] = field(default_factory=list)
    """Time (microseconds since 1970) and number."""
    total: int = 0
    """With those that hold no valid number."""

    def add(self, when: int | None, element: dict[str, Any], is_modified: bool) -> None:
        """Take one measurement; Unprocessable where its unit cannot be that of the others."""
        self.total += 1
        quantity = element.get("valueQuantity")
        if is_modified or not isinstance(quantity, dict) or quantity.get("comparator"):
            return
        number, unit = quantity.get("value"), quantity.get("code")
        if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number):
            return
        if quantity.get("system") != ucum.SYSTEM or not unit:
            return
        self.unit = self.unit or unit
        self.points.append((when, float(number) if unit == self.unit else self._converted(number, unit)))

    def _converted(self, number: float, unit: str) -> float:
        here, there = ucum.unit(unit), ucum.unit(self.unit or "")
        if here is None or there is None or here.canonical != there.canonical:
            raise Unprocessable(
                f"Observations of {self.coding['code']} are in {self.unit} and in {unit}, which cannot be "
                "converted into each other; ask for a period in which there is one of them.", expression="code",
            )  # fmt: skip
        return float((Fraction(str(number)) + here.offset) * here.factor / there.factor - there.offset)


class Measurements:
    """Measurements by code: those asked for, and the single ones of panels."""

    def __init__(self, wanted: Iterable[dict[str, Any]], subject: str, bounds: tuple[int, int], ctx: Context) -> None:
        self._wanted: dict[Code, dict[str, Any]] = {(one["system"], one["code"]): one for one in wanted}
        self._subject, self._bounds, self._ctx = subject, bounds, ctx
        self._series: dict[Code, Series] = {}
        self._taken: set[tuple[str, int, Code]] = set()
        self._panels: set[Code] = set()
        self._looked_up = 0

    def add(self, page: Iterable[StoredVersion]) -> Iterator[StoredVersion]:
        """Take the measurements of a page of matches, and yield the Observations that they came from."""
        members: dict[str, int | None] = {}
        for stored in page:
            if self._take(stored, members, self._wanted, None):
                yield stored
        seen = set(members)
        while members:
            panels, members = members, {}
            for stored in self._read(list(panels)):
                if self._take(stored, members, None, panels[stored.id]):
                    yield stored
            members = {id_: when for id_, when in members.items() if id_ not in seen}
            seen.update(members)

    def _read(self, ids: list[str]) -> Iterator[StoredVersion]:
        """Yield Observations one by one, some being looked up at a time."""
        self._looked_up += len(ids)
        if self._looked_up > scanning.MOST:
            raise TooCostly(f"The panels have more than {scanning.MOST} members; ask for a shorter period.",
                            expression="period")
        for start in range(0, len(ids), scanning.PAGE):
            yield from self._ctx.store.each_read(("Observation", id_) for id_ in ids[start : start + scanning.PAGE])

    def series(self) -> list[Series]:
        """Return what was found: of each code that was asked for, then of panels' parts."""
        own = [self._series.get(code) or Series(coding) for code, coding in self._wanted.items()
               if code in self._series or code not in self._panels]
        return own + [one for code, one in self._series.items() if code not in self._wanted]

    def _take(
        self, stored: StoredVersion, members: dict[str, int | None], wanted: dict[Code, Any] | None, panel: int | None
    ) -> bool:
        """Take what one Observation measures; `wanted` None: all of it, as it is part of a panel of that time."""
        resource = orjson.loads(stored.content or b"{}")
        if resource.get("status") == "entered-in-error" or not self._is_of_subject(resource):
            return False
        dates = search_parameters.extract(resource).dates
        when = next((one[1] for one in dates if one[0] == "date"), panel)
        if when is not None and wanted is None and not self._bounds[0] <= when < self._bounds[1]:
            return False
        before = len(self._taken)
        whole = _codings(resource) if wanted is None else [one for one in _codings(resource) if _code(one) in wanted]
        parts = resource.get("component", [])
        for number, component in enumerate(parts, 1):
            codings = _codings(component)
            chosen = codings[:1] if whole else []
            chosen += [one for one in codings if _code(one) in self._wanted]
            self._add(chosen, component, resource, stored.id, number, when)
        below = [one.get("reference", "") for one in resource.get("hasMember", [])] if whole else []
        for text in below:
            to = references.parse(relative(text, self._ctx.store.base_url))
            if to.kind == "relative" and to.type == "Observation" and to.id:
                members.setdefault(to.id, when)
        if (parts or below) and not any(name.startswith("value") for name in resource):
            self._panels.update(map(_code, whole))
        else:
            self._add(whole if wanted is not None else whole[:1], resource, resource, stored.id, 0, when)
        return len(self._taken) > before

    def _add(
        self, codings: list[dict[str, Any]], element: dict[str, Any], resource: dict[str, Any], id_: str, number: int,
        when: int | None,
    ) -> None:  # fmt: skip
        is_modified = "modifierExtension" in resource or "modifierExtension" in element
        for coding in codings:
            place = (id_, number, _code(coding))
            if place in self._taken:
                continue
            self._taken.add(place)
            if len(self._taken) > MOST:
                raise TooCostly(f"There are more than {MOST} measurements; ask for a shorter period.",
                                    expression="period")
            shown = self._wanted.get(_code(coding), coding)
            self._series.setdefault(_code(coding), Series(shown)).add(when, element, is_modified)

    def _is_of_subject(self, resource: dict[str, Any]) -> bool:
        """Tell whether it is of the subject: a panel's member may be of anybody."""
        text = relative(resource.get("subject", {}).get("reference", ""), self._ctx.store.base_url)
        to = references.parse(text)  # which may name a version
        return (f"{to.type}/{to.id}" if to.kind == "relative" else text) == self._subject


def _codings(element: dict[str, Any]) -> list[dict[str, Any]]:
    found = element.get("code", {}).get("coding", [])
    return [one for one in found if one.get("code") and one.get("system")]


def _code(coding: dict[str, Any]) -> Code:
    return coding["system"], coding["code"]
