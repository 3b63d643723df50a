"""Searches drawn by hypothesis, with what they mean to the plain filter, and what a store finds, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from hie.store.resources import ResourceStore
from hie.store.search import engine, query
from tests.property.plain_filter import (
    COMPOSITES,
    GET,
    KINDS,
    NOW,
    TEXTED,
    Json,
    codings,
    has_run,
    kilometres,
    plain,
    said_words,
    token_is,
    uri_is,
)
from tests.property.random_resources import CODES, FAMILIES, LOCAL, PLACES
from tests.property.random_values import (
    PREFIXES,
    date_value,
    quantity_value,
    reference_value,
    string_value,
    text_value,
    token_value,
    typed_value,
    uri_value,
)

DISTANCES = [
    (1, "km"), (2, ""), (40, "km"), (30, "[mi_i]"), (5000, "m"), (900, "km"), (9e3, "km"), (19e3, "km"),
]  # fmt: skip
TYPES = ("Patient", "Observation", "Observation", "Encounter", "ValueSet", "Location")
Meaning = Callable[[Json], bool]
Asked = tuple[str, str, Meaning]


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
        operator = draw(st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"]))
        source = draw(st.sampled_from([*FAMILIES, "Anna"]))
        text = {"sw": source[:4], "ew": source[-4:], "co": source[1:5]}.get(operator, source)
        text = text if len(plain(text)) >= 3 else "ann"
        asked, differs = plain(text), operator == "ne"
        holds = {
            "eq": lambda value: plain(value) == asked, "ne": lambda value: plain(value) == asked,
            "co": lambda value: asked in plain(value), "sw": lambda value: plain(value).startswith(asked),
            "ew": lambda value: plain(value).endswith(asked),
            "gt": lambda value: plain(value) > asked, "lt": lambda value: plain(value) < asked,
            "ge": lambda value: plain(value) >= asked, "le": lambda value: plain(value) <= asked,
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
        urls = ["http://p/a", "http://p/b", "http://p/c", "http://p", "http://q/x"]
        versioned = [] if name == "_profile:above" else ["http://p/a|1"]  # refused, as what lies above has no version
        url = draw(st.sampled_from([*urls, *versioned]))
        return name, url, lambda record: any(
            uri_is(name.removeprefix("_profile"), url, profile) for profile in record["meta"]["profile"]
        )  # fmt: skip
    code = draw(st.sampled_from(sorted(GET[type_name])))
    wanted = draw(st.booleans())
    get = GET[type_name][code]
    return f"{code}:missing", str(wanted).lower(), lambda record: (not get(record)) is wanted


@st.composite
def searches(draw: st.DrawFn, *types: str) -> tuple[str, list[Asked], list[tuple[str, str]]]:
    """A search of one of the types, of all where none is named."""
    type_name = draw(st.sampled_from(types or TYPES))
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
