"""Laws of the JSON reader and writer, for any JSON value."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hie.fhir.json_format import JsonDecimal, JsonError, dump, parse, reread

NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def _tree(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(TEXTS, children), max_size=5, unique_by=lambda pair: pair[0])
    objects = pairs.map(lambda found: "{" + ",".join(f"{_quoted(name)}:{value}" for name, value in found) + "}")
    return st.lists(children, max_size=5).map(lambda found: "[" + ",".join(found) + "]") | objects


def _quoted(text: str) -> str:
    return dump(text).decode()


LEAVES = st.sampled_from(["true", "false", "null"]) | NUMBERS | TEXTS.map(_quoted)
CANONICAL = st.recursive(LEAVES, _tree, max_leaves=20)


@given(CANONICAL)
@settings(deadline=None)
def test_reading_and_writing_gives_the_same_bytes(text: str) -> None:
    if text == "-0":
        return  # an integer has no sign of zero
    data = text.encode()
    assert dump(parse(data)).replace(b"-0", b"0") == data.replace(b"-0", b"0")


@given(CANONICAL)
@settings(deadline=None)
def test_what_was_written_is_read_again_as_it_was_read_first(text: str) -> None:
    value = parse(text.encode())
    assert dump(reread(dump(value))) == dump(value)
    assert reread(dump(value)) == value


@given(st.binary(max_size=60) | st.text("[]{}\",:\\ue01.-tfn \n", max_size=60).map(str.encode))
@settings(deadline=None)
def test_what_nobody_wrote_is_refused_when_it_is_read_again(data: bytes) -> None:
    """But for names given twice, which `dump` cannot write."""
    try:
        value = parse(data)
    except JsonError as error:
        if "twice" not in error.message:
            with pytest.raises(JsonError):
                reread(data)
    else:
        assert reread(data) == value


@given(CANONICAL)
@settings(deadline=None)
def test_any_escape_and_layout_is_read_as_the_same_value(text: str) -> None:
    value = json.loads(text, parse_float=JsonDecimal)
    spread = json.dumps(value, ensure_ascii=True, indent=3, default=_number)
    assert parse(text.encode()) == value
    # Decimals become strings in `spread`: the standard library cannot write them otherwise.
    assert parse(spread.encode()) == json.loads(spread)


def _number(value: Any) -> str:
    return str(value)


@given(st.binary(max_size=60) | st.text("[]{}\",:\\ue01.-tfn \n", max_size=60).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(JsonError):
        value = parse(data)
        assert parse(dump(value)) == value


@given(st.text("[]{}\",:\\a1 ", max_size=80), st.integers(1, 8))
@settings(deadline=None)
def test_the_nesting_limit_is_exact(text: str, limit: int) -> None:
    try:
        depth = _depth(json.loads(text, object_pairs_hook=lambda pairs: [value for _, value in pairs]))
    except ValueError:
        return
    if depth > limit:
        with pytest.raises(JsonError, match="deeper"):
            parse(text.encode(), max_depth=limit)
    else:
        assert "deeper" not in _refusal(text, limit)


def _refusal(text: str, limit: int) -> str:
    try:
        parse(text.encode(), max_depth=limit)
    except JsonError as refused:
        return refused.message
    return ""


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(deadline=None)
def test_a_property_given_twice_is_always_refused(names: list[str]) -> None:
    text = "{" + ",".join(f"{_quoted(name)}:1" for name in [*names, names[0]]) + "}"
    with pytest.raises(JsonError, match="given twice"):
        parse(text.encode())
