"""A search finds exactly what a plain filter over the resources finds, written from the text of the specification.

The filter below shares no code with the server: dates, numbers, tokens and references are read again, from JSON.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import json
import math
import random
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.fhir import json_format
from hie.store.resources import ResourceStore
from hie.store.search import engine, query

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOINC, UCUM, LOCAL = "http://loinc.org", "http://unitsofmeasure.org", "urn:local"
CODES = [(LOINC, "8302-2"), (LOINC, "8480-6"), (LOCAL, "8302-2"), ("", "8480-6"), (LOCAL, "x,y"), (LOCAL, "a|b$c")]
FAMILIES = ["Müller", "MULLER", "Muller-Lüdenscheidt", "O'Neil", "Øster", "de la Cruz " + "x" * 80, "李", "Mu"]
WORDS = ["Body height", "Body  Weight", "BÖDY", "Bo", "Systolic blood pressure", "systolic blood", "Øre, rød", "O"]
URLS = [
    "http://p/a", "http://p/a/", "http://p/a/b", "http://p/a/b/c", "http://p/ab", "http://p", "http://P/a", "urn:p:a",
    "http://p/a/b|2", "http://q/" + "x/" * 14 + "y", "http://q/" + "x/" * 14 + "z", "http://q/" + "x/" * 12, "q//r/s",
    "http://p//a/b",
]  # fmt: skip
SAID = [
    "pain", "Pain", "knee", "k<b>n</b>ee", "J\u00f6int", "joint;", "joint-pain", "no", "<i>H</i>2O", "&lt;5",
    "\u6771\u4eac", "\u6771",
]  # fmt: skip
PLACES = [
    (47.37, 8.54), (47.38, 8.55), (0.0, 179.999), (0.0, -179.99), (-0.01, 179.9), (89.7, 10.0), (89.69, -170.0),
    (-60.0, 0.0),
]  # fmt: skip
DISTANCES = [
    (1, "km"), (2, ""), (40, "km"), (30, "[mi_i]"), (5000, "m"), (900, "km"), (9e3, "km"), (19e3, "km"),
]  # fmt: skip
DATES = [
    "1980", "1980-05", "1980-05-12", "1979-12-31", "1981-01-01", "1980-06", "2015-02-14", "2015-02-14T13:42:00+10:00",
    "2015-02-14T03:42:00Z", "2015-02-14T03:42:00.5Z", "2015-02-13T23:59:59-05:00", "1999", "2000-02-29", "1980-05-13",
]  # fmt: skip
NUMBERS = [
    "5", "5.4", "5.40", "5.35", "5.45", "-3", "0", "100", "99.5", "100.5", "1e2", "0.001", "5.4000001", "5000", "0.005",
    "37", "98.6", "98.60",
]  # fmt: skip
UNITS = [
    (UCUM, "mg", "mg"), (UCUM, "g", "gram"), (UCUM, "kg", "kg"), (UCUM, "Cel", "C"), (UCUM, "[degF]", "F"),
    (UCUM, "[pH]", "pH"), (UCUM, "pills", "mg"), (LOCAL, "mg", "mg"), ("", "", "mg"), ("", "", ""),
]  # fmt: skip
#: unit -> kind, size, zero: what a number of it is in grams or kelvins.
SIZES = {
    "mg": ("mass", Fraction(1, 1000), 0), "g": ("mass", Fraction(1), 0), "kg": ("mass", Fraction(1000), 0),
    "Cel": ("heat", Fraction(1), Fraction("273.15")), "[degF]": ("heat", Fraction(5, 9), Fraction("459.67")),
}  # fmt: skip


# ---- resources -------------------------------------------------------------------------------------------------------


def concept(rng: random.Random) -> Json:
    codings = []
    for system, code in rng.sample(CODES, rng.choice([0, 1, 1, 2])):
        codings.append({"code": code, **({"system": system} if system else {})})
        if rng.random() < 0.5:
            codings[-1]["display"] = rng.choice(WORDS)
    if codings and rng.random() < 0.5:
        return {"coding": codings}
    return {"text": rng.choice(WORDS), **({"coding": codings} if codings else {})}


def quantity(rng: random.Random) -> Json:
    system, code, unit = rng.choice(UNITS)
    found: Json = {"value": json_format.JsonDecimal(rng.choice(NUMBERS))}
    if rng.random() < 0.2:
        found["comparator"] = rng.choice(["<", "<=", ">", ">="])
    return found | {key: text for key, text in (("unit", unit), ("system", system), ("code", code)) if text}


def period(rng: random.Random) -> Json:
    start, end = sorted(rng.sample(DATES, 2), key=lambda text: span(text)[0])
    if span(end)[1] <= span(start)[0]:
        end = start
    return rng.choice([{"start": start, "end": end}, {"start": start}, {"end": end}])


def date_time(rng: random.Random) -> str:
    return rng.choice(DATES)


def day(rng: random.Random) -> str:
    return rng.choice([text for text in DATES if "T" not in text])


def patient(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Patient", "id": f"p{number}"}
    if rng.random() < 0.8:
        found["name"] = [{"family": rng.choice(FAMILIES), "given": rng.sample(["Anna", "Ann", "Bo", "Ánna"], 2)}]
    if rng.random() < 0.8:
        found["birthDate"] = day(rng)
    if rng.random() < 0.4:
        found["deceasedDateTime"] = date_time(rng)
    if rng.random() < 0.7:
        found["gender"] = rng.choice(["male", "female"])
    if rng.random() < 0.5:
        found["active"] = rng.choice([True, False])
    if rng.random() < 0.5:
        found["identifier"] = [identifier(rng)]
    if rng.random() < 0.5:
        found["address"] = [{"city": rng.choice(["Bern", "Berne", "Ulm"]), "line": ["Main 1"]}]
    return found | narrative(rng) | meta(rng)


def narrative(rng: random.Random) -> Json:
    if rng.random() < 0.3:
        return {}
    said = " ".join(rng.choices(SAID, k=rng.choice([1, 2, 3, 6])))
    return {"text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{said}</p></div>'}}


def location(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Location", "id": f"l{number}", "name": rng.choice(WORDS), "status": "active"}
    if number:
        latitude, longitude = rng.choice(PLACES)
        at = {"latitude": str(latitude + rng.choice([0, 0.01, -0.3])), "longitude": str(longitude)}
        found["position"] = {name: json_format.JsonDecimal(text) for name, text in at.items()}
    return found | narrative(rng) | meta(rng)


def identifier(rng: random.Random) -> Json:
    found = rng.choice([{"system": LOCAL, "value": "1"}, {"value": "1"}, {"system": LOCAL, "value": "2|3"}])
    kind = rng.choice([concept(rng), {"coding": [{"system": LOCAL, "code": "MR"}], "text": "Body number"}])
    return {**found, **({"type": kind} if rng.random() < 0.7 else {})}


def meta(rng: random.Random) -> Json:
    tags = [{"code": code, **({"system": system} if system else {})} for system, code in rng.sample(CODES, 1)]
    if rng.random() < 0.3:
        tags[0]["display"] = rng.choice(WORDS)
    return {"meta": {"tag": tags, "profile": [rng.choice(["http://p/a", "http://p/a|1", "http://p/b", *URLS])]}}


def value_set(rng: random.Random, number: int) -> Json:
    found = {"resourceType": "ValueSet", "id": f"v{number}", "status": "active"}
    return found | ({"url": rng.choice(URLS)} if number else {}) | meta(rng)


def subject(rng: random.Random) -> Json:
    return rng.choice([
        {"reference": f"Patient/p{rng.randrange(5)}"},
        {"reference": f"Patient/p{rng.randrange(5)}", "identifier": identifier(rng)},
        {"identifier": identifier(rng)},
        {"reference": "https://elsewhere.example/fhir/Patient/p1"},
        {"display": "somebody"},
        {"reference": "Group/g0"},
    ])  # fmt: skip


def observation(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Observation", "id": f"o{number}", "status": rng.choice(["final", "amended"]),
                   "code": concept(rng)}  # fmt: skip
    if rng.random() < 0.5:
        found["category"] = [concept(rng)]
    if rng.random() < 0.8:
        found["subject"] = subject(rng)
    roll = rng.random()
    if roll < 0.5:
        found["effectiveDateTime"] = date_time(rng)
    elif roll < 0.8:
        found["effectivePeriod"] = period(rng)
    found |= rng.choice([
        {}, {"valueQuantity": quantity(rng)}, {"valueCodeableConcept": concept(rng)},
        {"valueString": rng.choice(FAMILIES)}, {"valueDateTime": date_time(rng)},
    ])  # fmt: skip
    if rng.random() < 0.5:
        found["component"] = [component(rng) for _ in range(rng.choice([1, 2]))]
    return found | meta(rng)


def component(rng: random.Random) -> Json:
    value = rng.choice([{"valueQuantity": quantity(rng)}, {"valueCodeableConcept": concept(rng)}])
    return {"code": concept(rng)} | value


def encounter(rng: random.Random, number: int) -> Json:
    found: Json = {"resourceType": "Encounter", "id": f"e{number}", "status": "finished", "class": {"code": "AMB"}}
    if rng.random() < 0.7:
        found["period"] = period(rng)
    if rng.random() < 0.6:
        stays = range(rng.choice([1, 2]))
        found["location"] = [{"location": {"display": "ward"}, "period": period(rng)} for _ in stays]
    if rng.random() < 0.5:
        found["length"] = quantity(rng) | {"system": UCUM, "code": "mg", "unit": "mg"}
    if rng.random() < 0.8:
        found["subject"] = subject(rng)
    return found | meta(rng)


def records(seed: int) -> list[Json]:
    rng = random.Random(seed)
    found = [{"resourceType": "Group", "id": "g0", "type": "person", "actual": True}]
    found += [patient(rng, number) for number in range(30)]
    found += [observation(rng, number) for number in range(70)]
    found += [value_set(rng, number) for number in range(20)]
    found += [location(rng, number) for number in range(25)]
    return found + [encounter(rng, number) for number in range(30)]


# ---- the specification, read again -----------------------------------------------------------------------------------


def span(text: str) -> tuple[datetime, datetime]:
    """The time a date may mean, as [start, end)."""
    if "T" not in text:
        parts = [int(part) for part in text.split("-")]
        start = datetime(*([*parts, 1, 1])[:3], tzinfo=UTC)
        if len(parts) == 1:
            return start, start.replace(year=start.year + 1)
        if len(parts) == 2:
            return start, (start + timedelta(days=31)).replace(day=1)
        return start, start + timedelta(days=1)
    zoned = text if text[-1] == "Z" or text[-6] in "+-" else text + "Z"
    clock = zoned.split("T")[1].rstrip("Z").split("+")[0].split("-")[0]
    if clock.count(":") == 1:
        moment = datetime.fromisoformat(zoned.replace("Z", "+00:00"))
        return moment, moment + timedelta(minutes=1)
    moment = datetime.fromisoformat(zoned.replace("Z", "+00:00"))
    digits = len(clock.partition(".")[2])
    return moment, moment + timedelta(microseconds=10 ** (6 - digits))


ALWAYS, EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def spans(value: Any) -> list[tuple[datetime, datetime]]:
    if value is None:
        return []
    if isinstance(value, str):
        return [span(value)]
    start, end = value.get("start"), value.get("end")
    return [(span(start)[0] if start else ALWAYS, span(end)[1] if end else EVER)]


def date_is(prefix: str, text: str, start: datetime, end: datetime) -> bool:
    low, high = span(text)
    contains = low <= start and end <= high
    if prefix == "ap":
        tenth = abs(NOW - low) / 10
        return start < high + tenth and end > low - tenth
    return {
        "eq": contains,
        "ne": not contains,
        "gt": end > high,
        "lt": start < low,
        "ge": end > high or contains,
        "le": start < low or contains,
        "sa": start >= high,
        "eb": end <= low,
    }[prefix]


def number_is(prefix: str, text: str, value: Json, asked: str = "") -> bool:
    """Whether a Quantity stands so to the number; `comparator` makes it every number below or above its value."""
    number, stored = Fraction(text), Fraction(str(value["value"]))
    if asked and asked != value["code"]:
        _, size, zero = SIZES[value["code"]]
        _, asked_size, asked_zero = SIZES[asked]
        stored = (stored + zero) * size / asked_size - asked_zero
    infinite: Any = float("inf")
    comparator = value.get("comparator", "")
    least = -infinite if "<" in comparator else stored
    most = infinite if ">" in comparator else stored
    is_open = comparator in ("<", ">")

    def some_above(bound: Fraction, inclusive: bool) -> bool:
        """Some possible value of the stored quantity lies above the bound."""
        if comparator == "<":  # values below `stored` only
            return stored > bound
        return most >= bound if inclusive else most > bound

    def some_below(bound: Fraction, inclusive: bool) -> bool:
        if comparator == ">":
            return stored < bound
        return least <= bound if inclusive else least < bound

    def within(low: Fraction, high: Fraction) -> bool:
        return least >= low and most < high and not (is_open and (least == -infinite or most == infinite))

    if prefix in ("eq", "ne"):
        low, high = implicit(text)
        return within(low, high) is (prefix == "eq")
    if prefix == "ap":
        tenth = abs(number) / 10
        return some_below(number + tenth, True) and some_above(number - tenth, True)
    if prefix == "sa":
        return least >= number if comparator == ">" else least > number
    if prefix == "eb":
        return most <= number if comparator == "<" else most < number
    return {
        "gt": some_above(number, False),
        "ge": some_above(number, True),
        "lt": some_below(number, False),
        "le": some_below(number, True),
    }[prefix]


def implicit(text: str) -> tuple[Fraction, Fraction]:
    if text == "1e2":  # the specification's own example
        return Fraction(95), Fraction(105)
    half = Fraction(Decimal(1).scaleb(Decimal(text).as_tuple().exponent)) / 2  # type: ignore[arg-type]
    return Fraction(text) - half, Fraction(text) + half


def plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(sign for sign in folded if not unicodedata.combining(sign))
    return " ".join(kept.replace("ø", "o").split())


def listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def texts(value: Json) -> list[str]:
    """What is written beside the codes of a concept, a coding or, of its type alone, an identifier."""
    if "value" in value:
        return listed(value.get("type", {}).get("text"))
    displayed = (one["display"] for one in (value, *value.get("coding", [])) if "display" in one)
    return [*listed(value.get("text")), *displayed]


def kinds_of(value: Json) -> list[tuple[str, str, str]]:
    """System and code of the types of an identifier, and its value."""
    return [(one.get("system", ""), one["code"], value["value"]) for one in value.get("type", {}).get("coding", [])]


def parts_of(url: str) -> list[str]:
    return url.rstrip("/").split("/")


def uri_is(modifier: str, asked: str, stored: str) -> bool:
    """Whether one URI is, is below or is above another; a stored canonical is meant with and without its version."""
    for one in {stored, stored.partition("|")[0]}:
        if modifier not in (":below", ":above"):
            if one == asked:
                return True
            continue
        below, above = (one, asked) if modifier == ":below" else (asked, one)
        if "://" in one and parts_of(below)[: len(parts_of(above))] == parts_of(above):
            return True
    return False


def codings(value: Any) -> list[tuple[str | None, str]]:
    """(system, code) of concepts, codings, identifiers, codes and booleans; None: a system is not said anywhere."""
    found: list[tuple[str | None, str]] = []
    for one in listed(value):
        if isinstance(one, bool):
            found.append((None, "true" if one else "false"))
        elif isinstance(one, str):
            found.append((None, one))
        elif "coding" in one:
            found += [(coding.get("system", ""), coding["code"]) for coding in one["coding"]]
        elif "code" in one or "value" in one:
            found.append((one.get("system", ""), one.get("code", one.get("value"))))
    return found


def token_is(asked: tuple[str | None, str | None], stored: tuple[str | None, str]) -> bool:
    system, code = asked
    if code is None:
        return stored[0] == system
    if system is None:
        return stored[1] == code
    return (stored[0] or "", stored[1]) == (system, code)


GET: dict[str, dict[str, Callable[[Json], list[Any]]]] = {
    "Patient": {
        "name": lambda r: [part for name in listed(r.get("name")) for part in (name["family"], *name["given"])],
        "family": lambda r: [name["family"] for name in listed(r.get("name"))],
        "address-city": lambda r: [one["city"] for one in listed(r.get("address"))],
        "birthdate": lambda r: listed(r.get("birthDate")),
        "death-date": lambda r: listed(r.get("deceasedDateTime")),
        "gender": lambda r: listed(r.get("gender")),
        "active": lambda r: listed(r.get("active")),
        "identifier": lambda r: listed(r.get("identifier")),
    },
    "Observation": {
        "code": lambda r: [r["code"]],
        "category": lambda r: listed(r.get("category")),
        "status": lambda r: [r["status"]],
        "subject": lambda r: listed(r.get("subject")),
        "date": lambda r: listed(r.get("effectiveDateTime")) + listed(r.get("effectivePeriod")),
        "value-date": lambda r: listed(r.get("valueDateTime")),
        "value-string": lambda r: [  # the parameter's expression takes the text of a concept too
            *listed(r.get("valueString")), *listed(r.get("valueCodeableConcept", {}).get("text")),
        ],
        "value-concept": lambda r: listed(r.get("valueCodeableConcept")),
        "value-quantity": lambda r: listed(r.get("valueQuantity")),
        "component-code": lambda r: [one["code"] for one in listed(r.get("component"))],
        "combo-code": lambda r: [r["code"], *(one["code"] for one in listed(r.get("component")))],
        "combo-value-quantity": lambda r: [
            one["valueQuantity"] for one in (r, *listed(r.get("component"))) if "valueQuantity" in one
        ],
    },
    "Location": {"name": lambda r: [r["name"]], "status": lambda r: [r["status"]]},
    "ValueSet": {"url": lambda r: listed(r.get("url")), "status": lambda r: [r["status"]]},
    "Encounter": {
        "date": lambda r: listed(r.get("period")),
        "location-period": lambda r: [one["period"] for one in listed(r.get("location"))],
        "length": lambda r: listed(r.get("length")),
        "subject": lambda r: listed(r.get("subject")),
        "class": lambda r: listed(r.get("class")),
    },
}
TEXTED = frozenset({"code", "category", "value-concept", "component-code", "combo-code"})
KINDS = {
    **dict.fromkeys(("name", "family", "address-city", "value-string"), "string"),
    **dict.fromkeys(("birthdate", "death-date", "date", "value-date", "location-period"), "date"),
    **dict.fromkeys(("value-quantity", "combo-value-quantity", "length"), "quantity"),
    "subject": "reference",
    "url": "uri",
}
COMPOSITES: dict[str, tuple[str, Callable[[Json], list[Json]]]] = {
    "code-value-quantity": ("quantity", lambda r: [r]),
    "component-code-value-quantity": ("quantity", lambda r: listed(r.get("component"))),
    "combo-code-value-quantity": ("quantity", lambda r: [r, *listed(r.get("component"))]),
    "code-value-concept": ("concept", lambda r: [r]),
    "combo-code-value-concept": ("concept", lambda r: [r, *listed(r.get("component"))]),
    "code-value-string": ("string", lambda r: [r]),
    "code-value-date": ("date", lambda r: [r]),
}

# ---- criteria: the text of a parameter, and what it means ------------------------------------------------------------

Meaning = Callable[[Json], bool]
Asked = tuple[str, str, Meaning]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


def escaped(text: str) -> str:
    for sign in ("\\", ",", "|", "$"):
        text = text.replace(sign, "\\" + sign)
    return text


@st.composite
def token_value(draw: st.DrawFn, pairs: list[tuple[str | None, str]]) -> tuple[str, tuple[str | None, str | None]]:
    system, code = draw(st.sampled_from(pairs))
    form = draw(st.sampled_from(["code", "pair", "system"] if system else ["code", "bare"]))
    if form == "code" or system is None:
        return escaped(code), (None, code)
    if form == "system":
        return f"{escaped(system)}|", (system, None)
    return f"{escaped(system)}|{escaped(code)}", (system, code)


@st.composite
def quantity_value(draw: st.DrawFn) -> tuple[str, Callable[[Json], bool]]:
    prefix, text = draw(st.sampled_from(PREFIXES)), draw(st.sampled_from(NUMBERS))
    unit = draw(st.sampled_from([
        "", f"|{UCUM}|mg", "||mg", "||gram", f"|{UCUM}|g", f"|{UCUM}|Cel", f"|{UCUM}|[degF]", f"|{UCUM}|[pH]",
        f"|{LOCAL}|mg",
    ]))  # fmt: skip

    def meaning(value: Json) -> bool:
        _, system, code = ([*unit.split("|"), "", "", ""])[:3]
        its = (value.get("system"), value.get("code"))
        if system == UCUM and code in SIZES:
            same = its[0] == UCUM and its[1] in SIZES and SIZES[its[1]][0] == SIZES[code][0]
            return same and number_is(prefix or "eq", text, value, code)
        same = its == (system, code) if code and system else not code or code in (its[1], value.get("unit"))
        return same and number_is(prefix or "eq", text, value)

    return f"{prefix}{text}{unit}", meaning


@st.composite
def date_value(draw: st.DrawFn) -> tuple[str, Callable[[Any], bool]]:
    prefix = draw(st.sampled_from(PREFIXES))
    text = draw(st.sampled_from([*DATES, "2015-02-14T03:42Z", "2015-02-14T03:42:00"]))
    return f"{prefix}{text}", lambda value: any(date_is(prefix or "eq", text, *one) for one in spans(value))


@st.composite
def string_value(draw: st.DrawFn, modifier: str) -> tuple[str, Callable[[str], bool]]:
    source = draw(st.sampled_from([*FAMILIES, "Anna", "Bern"]))
    if modifier == ":exact":
        return escaped(source), lambda value: value == source
    start = draw(st.integers(0, 4)) if modifier else 0
    length = draw(st.integers(3 if modifier else 1, 90))
    text = draw(st.sampled_from([str.upper, str.lower, str]))(source[start : start + length])
    text = text if len(plain(text)) >= 3 or not modifier else "neil"
    asked = plain(text) or "x"
    if modifier:
        return escaped(text), lambda value: asked in plain(value)
    return escaped(text if plain(text) else "x"), lambda value: plain(value).startswith(asked)


@st.composite
def reference_value(draw: st.DrawFn, modifier: str) -> tuple[str, Callable[[Json], bool]]:
    if modifier == ":identifier":
        text, asked = draw(token_value([(LOCAL, "1"), ("", "1"), (LOCAL, "2|3")]))
        return text, lambda value: any(token_is(asked, one) for one in codings(value.get("identifier")))
    id_ = f"p{draw(st.integers(0, 5))}"
    local = {f"Patient/{id_}"}
    choices: list[tuple[str, set[str]]] = [(id_, local), (f"Patient/{id_}", local)]
    if modifier != ":Patient":
        choices.append(("Group/g0", {"Group/g0"}))
        choices.append((f"https://elsewhere.example/fhir/Patient/{id_}", {f"https://elsewhere.example/fhir/Patient/{id_}"}))
    text, targets = draw(st.sampled_from(choices))
    return text, lambda value: value.get("reference") in targets


@st.composite
def uri_value(draw: st.DrawFn, modifier: str) -> tuple[str, Callable[[str], bool]]:
    choices = [url for url in URLS if "://" in url] if modifier in (":below", ":above") else URLS
    text = draw(st.sampled_from([*choices, "http://q", "http://p/a/b/", "http://q/" + "x/" * 13 + "x"]))
    return escaped(text), lambda value: uri_is(modifier, text, value)


@st.composite
def text_value(draw: st.DrawFn) -> tuple[str, Callable[[Json], bool]]:
    source = draw(st.sampled_from(WORDS))
    length = draw(st.sampled_from([1, 2, 3, 5, 8, 10, 12, 30]))
    text = draw(st.sampled_from([str.upper, str.lower, str]))(source[:length])
    return escaped(text), lambda value: any(plain(one).startswith(plain(text)) for one in texts(value))


@st.composite
def typed_value(draw: st.DrawFn) -> tuple[str, Callable[[Json], bool]]:
    system, code = draw(st.sampled_from([(LOCAL, "MR"), (LOCAL, "MR"), (LOINC, "8302-2"), (LOCAL, "a|b$c")]))
    value = draw(st.sampled_from(["1", "2|3"]))
    text = "|".join(escaped(part) for part in (system, code, value))
    return text, lambda stored: (system, code, value) in kinds_of(stored)


@st.composite
def plain_criterion(draw: st.DrawFn, type_name: str) -> Asked:
    name = draw(st.sampled_from(sorted(GET[type_name])))
    get, kind = GET[type_name][name], KINDS.get(name, "token")
    modifiers = {"string": ["", ":exact", ":contains"], "token": ["", ":not"], "uri": ["", ":not", ":above", ":below"],
                 "reference": ["", ":not", ":identifier", ":Patient"]}.get(kind, [""])  # fmt: skip
    if name == "identifier":
        modifiers = [*modifiers, ":of-type", ":text"]
    elif name in TEXTED:
        modifiers = [*modifiers, ":text"]
    modifier = draw(st.sampled_from(modifiers))
    values: list[tuple[str, Callable[[Any], bool]]] = []
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        if modifier == ":text":
            values.append(draw(text_value()))
        elif modifier == ":of-type":
            values.append(draw(typed_value()))
        elif kind == "uri":
            values.append(draw(uri_value(modifier)))
        elif kind == "token":
            pairs = {
                "gender": [(None, "male"), (None, "female")], "active": [(None, "true"), (None, "false")],
                "status": [(None, "final"), (None, "amended")], "class": [("", "AMB")],
                "identifier": [(LOCAL, "1"), ("", "1"), (LOCAL, "2|3")],
            }.get(name, CODES)  # fmt: skip
            text, asked = draw(token_value(pairs))  # type: ignore[arg-type]
            values.append((text, lambda value, asked=asked: any(token_is(asked, one) for one in codings(value))))
        elif kind == "string":
            values.append(draw(string_value(modifier)))
        elif kind == "date":
            values.append(draw(date_value()))
        elif kind == "quantity":
            values.append(draw(quantity_value()))
        else:
            values.append(draw(reference_value(modifier)))

    def meaning(record: Json) -> bool:
        matched = any(asked(value) for value in get(record) for _, asked in values)
        return matched is not (modifier == ":not")

    return name + modifier, ",".join(text for text, _ in values), meaning


def said_words(text: str) -> list[str]:
    """Words of a narrative, from its markup, for the few kinds of words that the records hold."""
    bare = text.replace("<b>", "").replace("</b>", "").replace("<i>", "").replace("</i>", "").replace("&lt;", "<")
    found, word = [], ""
    for sign in plain(re.sub("</?(p|div)[^>]*>", " ", bare)) + " ":
        if sign in "\u6771\u4eac":
            found += [one for one in (word, sign) if one]
            word = ""
        elif sign.isalnum():
            word += sign
        elif word:
            found.append(word)
            word = ""
    return found


def has_run(said: list[str], run: list[str]) -> bool:
    return any(said[start : start + len(run)] == run for start in range(len(said)))


@st.composite
def text_expression(draw: st.DrawFn, depth: int = 0) -> tuple[str, Callable[[list[str]], bool]]:
    form = draw(st.sampled_from(["word", "word", "phrase", "and", "or", "not", "open"] if depth < 2 else ["word"]))
    if form in ("and", "or"):
        (left, one), (right, two) = draw(text_expression(depth + 1)), draw(text_expression(depth + 1))
        if form == "and":
            word = draw(st.sampled_from(["", "AND", "and"]))
            return f"({left}) {word} ({right})", lambda said: one(said) and two(said)
        word = draw(st.sampled_from(["OR", "or", "|", ","]))
        return f"({left}) {word} ({right})", lambda said: one(said) or two(said)
    if form == "not":
        text, one = draw(text_expression(2))
        return f"{draw(st.sampled_from(['NOT ', '-']))}{text}", lambda said: not one(said)
    if form == "phrase":
        signs = st.sampled_from(["pain", "knee", "joint", "h2o", "\u6771", "\u4eac"])
        run = draw(st.lists(signs, min_size=2, max_size=3))
        return f'"{" ".join(run)}"', lambda said: has_run(said, run)
    word = draw(st.sampled_from(["PAIN", "knee", "j\u00f6int", "no", "h2o", "5", "absent", "\u6771\u4eac", "\u6771"]))
    run = said_words(word)
    if form == "open":
        return f"{word} kn*", lambda said: has_run(said, run) and any(one.startswith("kn") for one in said)
    return word, lambda said: has_run(said, run)


@st.composite
def text_criterion(draw: st.DrawFn) -> Asked:
    text, holds = draw(text_expression())
    return "_text", text, lambda record: holds(said_words(record.get("text", {}).get("div", "")))


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By the law of cosines in space: the angle between two points seen from the middle of the Earth."""
    (x, y, z), (u, v, w) = (
        (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
        for a, b in ((math.radians(lat), math.radians(long)) for lat, long in (one, other))
    )
    cross = math.dist((0, 0, 0), (y * w - z * v, z * u - x * w, x * v - y * u))
    return 6371.0088 * math.atan2(cross, x * u + y * v + z * w)


@st.composite
def near_criterion(draw: st.DrawFn) -> Asked:
    latitude, longitude = draw(st.sampled_from([*PLACES, (90.0, 0.0), (0.0, 180.0), (0.0, -180.0), (10.0, 20.0)]))
    amount, unit = draw(st.sampled_from(DISTANCES))
    most = amount * {"[mi_i]": 1.609344, "m": 0.001}.get(unit, 1)

    def meaning(record: Json) -> bool:
        at = record.get("position")
        return bool(at) and kilometres((float(at["latitude"]), float(at["longitude"])), (latitude, longitude)) <= most

    return "near", f"{latitude}|{longitude}|{amount}" + (f"|{unit}" if unit else ""), meaning


@st.composite
def comparison(draw: st.DrawFn, type_name: str) -> tuple[str, Meaning]:
    name = draw(st.sampled_from(sorted(GET[type_name])))
    get, kind = GET[type_name][name], KINDS.get(name, "token")
    if draw(st.sampled_from([True, *[False] * 6])):
        wanted = draw(st.booleans())
        return f"{name} pr {str(wanted).lower()}", lambda record: bool(get(record)) is wanted
    differs = False
    holds: Callable[[Any], bool]
    if kind == "string":
        operator = draw(st.sampled_from(["eq", "ne", "co", "sw", "ew"]))
        source = draw(st.sampled_from([*FAMILIES, "Anna"]))
        text = {"sw": source[:4], "ew": source[-4:], "co": source[1:5]}.get(operator, source)
        text = text if len(plain(text)) >= 3 else "ann"
        asked, differs = plain(text), operator == "ne"
        holds = {
            "eq": lambda value: plain(value) == asked, "ne": lambda value: plain(value) == asked,
            "co": lambda value: asked in plain(value), "sw": lambda value: plain(value).startswith(asked),
            "ew": lambda value: plain(value).endswith(asked),
        }[operator]  # fmt: skip
        value = json.dumps(text)
    elif kind in ("date", "quantity"):
        value, holds = draw(date_value() if kind == "date" else quantity_value())
        operator = value[:2] if value[:2] in PREFIXES else "eq"
        value = value.removeprefix(operator)
    else:
        operator = draw(st.sampled_from(["eq", "ne", "re"] if kind == "reference" else ["eq", "ne"]))
        differs = operator == "ne"
        if kind == "uri":
            value, holds = draw(uri_value(""))
        elif kind == "reference":
            value, holds = draw(reference_value(""))
        else:
            few = {"gender": [(None, "male")], "active": [(None, "true")], "status": [(None, "final")]}
            value, pair = draw(token_value(few.get(name, CODES)))  # type: ignore[arg-type]
            if differs:  # each coding is an item of the set
                return f"{name} ne {json.dumps(value)}", lambda record: any(
                    not token_is(pair, one) for found in get(record) for one in codings(found)
                )
            holds = lambda found: any(token_is(pair, one) for one in codings(found))  # noqa: E731
        value = json.dumps(value)
    return f"{name} {operator} {value}", lambda record: any(holds(found) is not differs for found in get(record))


@st.composite
def filter_expression(draw: st.DrawFn, type_name: str, depth: int = 0) -> tuple[str, Meaning]:
    form = draw(st.sampled_from(["leaf", "and", "or", "not", "flat"] if depth < 2 else ["leaf"]))
    if form == "leaf":
        return draw(comparison(type_name))
    text, one = draw(filter_expression(type_name, depth + 1))
    if form == "not":
        return f"not ({text})", lambda record: not one(record)
    other, two = draw(filter_expression(type_name, depth + 1))
    if form == "and":
        return f"({text}) and ({other})", lambda record: one(record) and two(record)
    if form == "or":
        return f"({text}) or ({other})", lambda record: one(record) or two(record)
    last, three = draw(comparison(type_name))
    return f"({text}) or ({other}) and {last}", lambda record: (one(record) or two(record)) and three(record)


@st.composite
def filter_criterion(draw: st.DrawFn, type_name: str) -> Asked:
    text, meaning = draw(filter_expression(type_name))
    return "_filter", text, meaning


@st.composite
def composite_criterion(draw: st.DrawFn) -> Asked:
    name = draw(st.sampled_from(sorted(COMPOSITES)))
    kind, elements = COMPOSITES[name]
    code_text, code = draw(token_value(CODES))  # type: ignore[arg-type]
    field = {"quantity": "valueQuantity", "concept": "valueCodeableConcept", "string": "valueString",
             "date": "valueDateTime"}[kind]  # fmt: skip
    part: Callable[[Any], bool]
    if kind == "quantity":
        text, part = draw(quantity_value())
    elif kind == "date":
        text, part = draw(date_value())
    elif kind == "string":
        text, part = draw(string_value(""))
    else:
        text, asked = draw(token_value(CODES))  # type: ignore[arg-type]
        part = lambda value: any(token_is(asked, one) for one in codings(value))  # noqa: E731

    def meaning(record: Json) -> bool:
        return any(
            any(token_is(code, one) for one in codings(element.get("code"))) and part(element[field])
            for element in elements(record)
            if field in element
        )

    return name, f"{code_text}${text}", meaning


@st.composite
def common_criterion(draw: st.DrawFn, type_name: str) -> Asked:
    name = draw(st.sampled_from(
        ["_id", "_id:not", "_tag", "_tag:not", "_tag:text", "_profile", "_profile:below", "_profile:above", "missing"]
    ))
    if name.startswith("_id"):
        ids = draw(st.lists(st.sampled_from(["p1", "o1", "o2", "e3", "zz"]), min_size=1, max_size=2))
        return name, ",".join(ids), lambda record: (record["id"] in ids) is (name == "_id")
    if name in ("_tag", "_tag:not"):
        text, asked = draw(token_value(CODES))  # type: ignore[arg-type]
        return name, text, lambda record: any(
            token_is(asked, one) for one in codings(record["meta"]["tag"])
        ) is (name == "_tag")  # fmt: skip
    if name == "_tag:text":
        text, words = draw(text_value())
        return name, text, lambda record: any(words(tag) for tag in record["meta"]["tag"])
    if name.startswith("_profile"):
        url = draw(st.sampled_from(["http://p/a", "http://p/a|1", "http://p/b", "http://p/c", "http://p", "http://q/x"]))
        return name, url, lambda record: any(
            uri_is(name.removeprefix("_profile"), url, profile) for profile in record["meta"]["profile"]
        )  # fmt: skip
    code = draw(st.sampled_from(sorted(GET[type_name])))
    wanted = draw(st.booleans())
    get = GET[type_name][code]
    return f"{code}:missing", str(wanted).lower(), lambda record: (not get(record)) is wanted


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[Asked], list[tuple[str, str]]]:
    type_name = draw(st.sampled_from(["Patient", "Observation", "Observation", "Encounter", "ValueSet", "Location"]))
    kinds = [plain_criterion(type_name), plain_criterion(type_name), common_criterion(type_name)]
    kinds.append(filter_criterion(type_name))
    if type_name in ("Patient", "Location"):
        kinds.append(text_criterion())
    if type_name == "Location":
        kinds += [near_criterion()] * 3
    if type_name == "Observation":
        kinds.append(composite_criterion())
    asked = [draw(draw(st.sampled_from(kinds))) for _ in range(draw(st.sampled_from([1, 1, 2, 3])))]
    result = [("_count", str(draw(st.sampled_from([1, 3, 20, 1000])))), ("_total", "accurate")]
    sort = draw(st.sampled_from(SORTS[type_name]))
    return type_name, asked, [*result, ("_sort", sort)] if sort else result


SORTS = {
    "Patient": ["", "_id", "-_id", "_lastUpdated", "-_lastUpdated,_id"],
    "Observation": ["", "date", "-date", "value-quantity", "-value-quantity,date", "-value-date,-_id"],
    "ValueSet": ["", "-_id"],
    "Location": ["", "_id"],
    "Encounter": ["", "date", "-date", "location-period", "-length", "length,-date"],
}


# ---- the law ---------------------------------------------------------------------------------------------------------


def store_all(store: ResourceStore, found: list[Json]) -> None:
    def unit(inside: ResourceStore) -> None:
        for record in found:
            inside.create(record["resourceType"], record, id=record["id"])

    store.transact(unit)


def pages(
    store: ResourceStore, type_name: str, parameters: list[tuple[str, str]], compartment: tuple[str, str] | None = None
) -> tuple[list[str], set[int | None]]:
    """Follow the next links; return the ids in order, and the totals that the pages gave.

    From the last page some links are followed back, to the same pages.
    """
    found: list[list[str]] = []
    totals: set[int | None] = set()
    cursor: str | None = None
    for _ in range(200):
        page = _page(store, type_name, parameters, compartment, cursor)
        found.append([one.id for one in page.matches])
        totals.add(page.total)
        cursor = page.next_cursor
        if cursor is None:
            break
    else:
        raise AssertionError("The pages do not end.")
    for before in found[-2:-5:-1]:
        page = _page(store, type_name, parameters, compartment, page.cursors.previous)
        assert [one.id for one in page.matches] == before, f"{parameters}: back to another page"
    return [one for each in found for one in each], totals


def _page(
    store: ResourceStore,
    type_name: str,
    parameters: list[tuple[str, str]],
    compartment: tuple[str, str] | None,
    cursor: str | None,
) -> engine.SearchPage:
    more = [] if cursor is None else [("_cursor", cursor)]
    now = int(NOW.timestamp()) * 1_000_000
    return engine.search(store, query.parse(type_name, [*parameters, *more], now=now, compartment=compartment))


@pytest.mark.proves("search:[!n]*", "prefix:*", "modifier:[!cn]*:missing", "modifier:string:*", "modifier:token:not",
                    "modifier:token:text", "modifier:token:of-type", "modifier:uri:*", "modifier:reference:*",
                    "parameter:_filter", "parameter:_text", "parameter:near", "parameter:_id", "parameter:_tag",
                    "parameter:_profile")  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_a_search_finds_what_a_plain_filter_finds(bind: Callable[..., ResourceStore], seed: int) -> None:
    found = records(seed)
    store_all(bind(), found)
    store = bind()

    @settings(max_examples=250, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(searches())
    def law(search: tuple[str, list[Asked], list[tuple[str, str]]]) -> None:
        type_name, asked, result = search
        expected = {
            record["id"]
            for record in found
            if record["resourceType"] == type_name and all(meaning(record) for _, _, meaning in asked)
        }
        parameters = [(name, text) for name, text, _ in asked] + result
        ids, totals = pages(store, type_name, parameters)
        assert set(ids) == expected, parameters
        assert len(ids) == len(expected), f"{parameters}: a resource came twice"
        assert totals == {len(expected)}, parameters

    law()


def least(record: Json, sort: str) -> Any:
    """What a resource is sorted by ascending; None: no value."""
    if sort == "date":
        moments = [one[0] for value in GET[record["resourceType"]]["date"](record) for one in spans(value)]
        return min(moments, default=None)
    numbers = [-float("inf") if "<" in one.get("comparator", "") else float(one["value"])
               for one in GET[record["resourceType"]][sort](record)]  # fmt: skip
    return min(numbers, default=None)


@pytest.mark.parametrize("sort", ["date", "value-quantity"])
@pytest.mark.parametrize("direction", ["", "-"])
@pytest.mark.parametrize("criterion", [("status", "final,amended"), ("date", "ge1980"), ("_id:not", "zz")])
def test_results_come_in_order_with_missing_values_last(
    bind: Callable[..., ResourceStore], sort: str, direction: str, criterion: tuple[str, str]
) -> None:
    found = {record["id"]: record for record in records(3)}
    store_all(bind(), list(found.values()))
    ids, _ = pages(bind(), "Observation", [criterion, ("_sort", direction + sort), ("_count", "7")])
    values = [least(found[id_], sort) for id_ in ids]
    present = [value for value in values if value is not None]
    assert values[: len(present)] == present, "missing values are not last"
    assert present == sorted(present, reverse=bool(direction))
    assert len(present) > 10
