"""What a search finds, written from the text of the specification: https://hl7.org/fhir/R4/search.html

It shares no code with the server: dates, numbers, tokens and references are read again, from JSON.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: unit -> kind, size, zero: what a number of it is in grams or kelvins.
SIZES = {
    "mg": ("mass", Fraction(1, 1000), 0), "g": ("mass", Fraction(1), 0), "kg": ("mass", Fraction(1000), 0),
    "Cel": ("heat", Fraction(1), Fraction("273.15")), "[degF]": ("heat", Fraction(5, 9), Fraction("459.67")),
}  # fmt: skip


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


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By the law of cosines in space: the angle between two points seen from the middle of the Earth."""
    (x, y, z), (u, v, w) = (
        (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
        for a, b in ((math.radians(lat), math.radians(long)) for lat, long in (one, other))
    )
    cross = math.dist((0, 0, 0), (y * w - z * v, z * u - x * w, x * v - y * u))
    return 6371.0088 * math.atan2(cross, x * u + y * v + z * w)
