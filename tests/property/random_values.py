"""Values to search for, drawn by hypothesis: the text of one, and what it means to the plain filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.property.plain_filter import (
    SIZES,
    Json,
    codings,
    date_is,
    kinds_of,
    number_is,
    plain,
    spans,
    texts,
    token_is,
    uri_is,
)
from tests.property.random_resources import DATES, FAMILIES, LOCAL, LOINC, NUMBERS, UCUM, URLS, WORDS

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
        f"|{LOCAL}|mg", f"|{LOCAL}|", f"|{UCUM}",
    ]))  # fmt: skip

    def meaning(value: Json) -> bool:
        _, system, code = ([*unit.split("|"), "", "", ""])[:3]
        its = (value.get("system"), value.get("code"))
        if system == UCUM and code in SIZES:
            same = its[0] == UCUM and its[1] in SIZES and SIZES[its[1]][0] == SIZES[code][0]
            return same and number_is(prefix or "eq", text, value, code)
        if system and not code:
            same = its[0] == system
        else:
            same = its == (system, code) if system else not code or code in (its[1], value.get("unit"))
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
