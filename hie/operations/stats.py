"""Observation/$stats: https://hl7.org/fhir/R4/observation-operation-stats.html"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest
from hie.fhir import datatypes, search_parameters, ucum
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment, dump
from hie.operations import scanning, statistic_codes
from hie.operations.measurements import Measurements, Series
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.search import criteria
from hie.store.search.criteria import Reading
from hie.store.search.query import SearchQuery
from hie.store.search.reference import relative
from hie.store.search.sort_keys import SortKey
from hie.store.versions import StoredVersion

_HOUR = 3_600_000_000
_MOST_CODES = 100
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the request asks for, read."""

    subject: str
    codings: list[dict[str, Any]]
    period: dict[str, str]
    statistics: list[str]
    sources: int


def stats(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return an Observation with the statistics of each code; with `include` what they were computed from."""
    asked = _asked(request, ctx)
    found = Measurements(asked.codings, asked.subject, _bounds(asked.period), ctx)
    sources: list[StoredVersion] = []
    kept = scanning.Kept("ask for fewer sources by limit, or for a shorter period.", "limit")
    for page in scanning.pages(_query(asked, ctx), ctx, "ask for a shorter period."):
        for stored in found.add(page):
            if len(sources) < asked.sources:
                sources.append(stored)
                kept.take(len(stored.content or b""))
    rows: list[dict[str, Any]] = [
        {"name": "statistics", "resource": _observation(one, asked)} for one in found.series()
    ]
    rows += [{"name": "source", "resource": Fragment(one.content or b"{}")} for one in sources]
    return FhirResponse(200, dump({"resourceType": "Parameters", "parameter": rows}), entity=_entity(asked.subject))


def _entity(subject: str) -> tuple[str, str] | None:
    type_name, slash, id_ = subject.partition("/")
    return (type_name, id_) if slash and "/" not in id_ else None


# ---- what is asked ---------------------------------------------------------------------------------------------------


def _asked(request: FhirRequest, ctx: Context) -> _Asked:
    subject = relative((request.parameter("subject") or "").strip(), ctx.store.base_url)
    subject = relative(subject, ctx.base_url)
    if subject and "/" not in subject and ":" not in subject:  # an id alone may be a Patient's, a Device's or a Group's
        raise InvalidRequest(f"subject is {subject[:80]!r}; it is a reference such as Patient/1.", expression="subject")
    sources = _limit(request, ctx) if request.parameter("include") == "true" else 0  # else R4 has it ignored
    return _Asked(subject, _coded(request), _period(request, ctx), _statistics(request), sources)


def _coded(request: FhirRequest) -> list[dict[str, Any]]:
    system = request.parameter("system")
    found = [value for name, value in request.arguments if name == "coding"]
    for name, text in request.parameters:
        if name == "code":
            before, bar, code = text.rpartition("|")
            if bar and system not in (None, before):
                raise InvalidRequest(f"code is of {before[:200]!r}, the parameter system names {str(system)[:200]!r}.",
                                     expression="system")
            found.append({"system": before if bar else system, "code": code.strip()})
    for coding in found:
        if not coding.get("system") or not coding.get("code"):
            raise InvalidRequest("Each code needs its system: give both, or a coding with both.", expression="system")
    if system is not None and not any(name == "code" for name, _ in request.parameters):
        raise InvalidRequest("system is that of a code, of which there is none here; a coding says its own.",
                             expression="system")
    if not found:
        raise InvalidRequest("$stats needs a code with its system, or a coding.", expression="code")
    if len(found) > _MOST_CODES:
        raise InvalidRequest(f"$stats takes {_MOST_CODES} codes at most.", expression="code")
    return list({(one["system"], one["code"]): one for one in found}.values())


def _statistics(request: FhirRequest) -> list[str]:
    found = []
    for name, several in request.parameters:
        for text in several.split(",") if name == "statistic" else ():
            code = statistic_codes.ALIASES.get(text, text)
            if code not in statistic_codes.DISPLAYS:
                known = ", ".join(sorted(statistic_codes.DISPLAYS))
                raise InvalidRequest(f"There is no statistic {text[:80]!r}; known are {known}.", expression="statistic")
            found.append(code)
    return list(dict.fromkeys(found))


def _limit(request: FhirRequest, ctx: Context) -> int:
    text = request.parameter("limit")
    if text is None:
        return ctx.settings.max_page_size
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise InvalidRequest(f"limit is {text[:80]!r}; it must be a whole number from 1.", expression="limit")
    return min(int(text), ctx.settings.max_page_size)


def _period(request: FhirRequest, ctx: Context) -> dict[str, str]:
    """Return start and end as they are asked for; what is not said is open. A duration goes before a period."""
    duration = request.parameter("duration")
    if duration is None:
        period = request.argument("period") or {}
        return {name: period[name] for name in ("start", "end") if period.get(name)}
    try:
        hours = Decimal(duration)
        is_good = 0 < hours < 10_000_000
    except InvalidOperation:  # no number, or NaN
        is_good = False
    if not is_good:
        raise InvalidRequest(f"duration is {duration[:80]!r}; it must be a number of hours above 0.",
                             expression="duration")
    now = ctx.clock()
    return {"start": instant(max(now - int(hours * _HOUR), datatypes.OPEN_LOW)), "end": instant(now)}


def _bounds(period: dict[str, str]) -> tuple[int, int]:
    low = datatypes.date_bounds(period["start"])[0] if "start" in period else datatypes.OPEN_LOW
    return low, datatypes.date_bounds(period["end"])[1] if "end" in period else datatypes.OPEN_HIGH


def _query(asked: _Asked, ctx: Context) -> SearchQuery:
    codes = ",".join(f"{_escaped(one['system'])}|{_escaped(one['code'])}" for one in asked.codings)
    conditions = [("subject", _escaped(asked.subject)), ("combo-code", codes)]
    conditions += [("date", prefix + asked.period[name]) for name, prefix in (("start", "ge"), ("end", "le"))
                   if name in asked.period]
    reading = Reading(ctx.store.base_url, ctx.clock())
    parsed = tuple(criteria.parse("Observation", name, text, reading) for name, text in conditions)
    date = search_parameters.for_type("Observation")["date"]
    return replace(SearchQuery("Observation", parsed), sort=(SortKey(date, descending=True),))


def _escaped(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\,|$" else character for character in text)


# ---- what is answered ------------------------------------------------------------------------------------------------


def _observation(series: Series, asked: _Asked) -> dict[str, Any]:
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{name: series.coding[name] for name in ("system", "code", "display")
                             if name in series.coding}]},
        "subject": {"reference": asked.subject},
    }  # fmt: skip
    times = [when for when, _ in series.points if when is not None]
    period = dict(asked.period)
    if times and not period:
        period = {"start": instant(min(times)), "end": instant(max(times))}
    if period:
        observation["effectivePeriod"] = period
    numbers = sorted(number for _, number in series.points)
    observation["component"] = [
        part for code in asked.statistics for part in _components(code, series, numbers, period)
    ]
    return observation


def _components(code: str, series: Series, numbers: list[float], period: dict[str, str]) -> list[dict[str, Any]]:
    if code == statistic_codes.REGRESSION:
        return _regression(series, period)
    if code == statistic_codes.TOTAL_COUNT:
        return [_component(code, series.total, "1")]
    unit = series.unit or "1"
    units = {"unit": unit, "square": f"({unit})2", "one": "1"}
    return [_component(code, statistic_codes.computed(code, numbers), units[statistic_codes.CODES[code][2]])]


def _regression(series: Series, period: dict[str, str]) -> list[dict[str, Any]]:
    """Return the gradient in units a day, and the value at the start of the period."""
    times = [when for when, _ in series.points if when is not None]
    start = datatypes.date_bounds(period["start"])[0] if "start" in period else min(times, default=0)
    days = [((when - start) / datatypes.MICROSECONDS_PER_DAY, number) for when, number in series.points
            if when is not None]
    gradient, intercept = statistic_codes.regression(days) or (None, None)
    unit = series.unit or "1"
    return [
        _component(statistic_codes.REGRESSION, gradient, f"{unit}/d", "gradient"),
        _component(statistic_codes.REGRESSION, intercept, unit, "intercept"),
    ]


def _component(code: str, value: float | None, unit: str, text: str | None = None) -> dict[str, Any]:
    coding = {"system": statistic_codes.SYSTEM, "code": code, "display": statistic_codes.DISPLAYS[code]}
    component: dict[str, Any] = {"code": {"coding": [coding]} | ({"text": text} if text else {})}
    if value is None or not isfinite(value):
        absent = {"coding": [{"system": _ABSENT, "code": "not-applicable"}], "text": "not defined for these values"}
        return component | {"dataAbsentReason": absent}
    number = value if isinstance(value, int) else float(f"{value:.12g}")
    quantity = {"value": number, "unit": unit, "system": ucum.SYSTEM, "code": unit}
    return component | {"valueQuantity": quantity}


OPERATION = Operation(
    code="stats",
    levels=frozenset({"type"}),
    types=frozenset({"Observation"}),
    function=stats,
    definition="http://hl7.org/fhir/OperationDefinition/Observation-stats",
    parameters=standard_parameters("stats@Observation", {
        "subject": "Whose Observations: a reference such as Patient/1.",
        "code": "A code to compute of, with `system` or written system|code.",
        "system": "The code system of each `code` that does not say it.",
        "coding": "A code to compute of, with its system: in a Parameters resource.",
        "duration": "So many hours until now; it goes before `period`.",
        "period": "The time of the Observations: in a Parameters resource.",
        "statistic": "What is computed, by R4's codes (`max` and `min` too); repeated, or with commas.",
        "include": "Whether the most recent sources are answered as well.",
        "limit": "So many of the sources at most; without `include` it is ignored.",
    }),
    returns=standard_returns("stats@Observation", {
        "statistics": "For each code an Observation with a component for each statistic.",
        "source": "Observations that were computed from, where `include` asks for them.",
    }),
    documentation="Statistics of the measurements of a subject, by code, converted to the unit of the most recent one.",
)
