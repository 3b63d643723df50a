"""Expressions that anybody may have written take no memory that their matching could not."""

from __future__ import annotations

import re

import pytest

from hie.fhir.questionnaires.regular import Expressions
from hie.fhir.regular_expressions import MOST_WRITTEN_OUT, compiled, written_out

HUGE = ["(?:a{99}){999}", "(?:(?:a{99}){99}){99}", "(?:(?:ab){99}){999}", "(?:a{99}){999,}", "(?:(?:a{999}?){99}){9}",
        "(?:a{99}){999}b", "[)](?:a{99}){999}", "a{99999}", "(?:a{99})(?#c){999}", "(?<n>a{99}){999}"]
#: As the engine reads them, so are these: white space, and comments, between a group and how often it is there.
VERBOSE = ["(?x)(?:a{99}) {999}", "(?ix)(?:a{99})#c\n{999}", "(?x:(?:a{99}) {999})"]

RECURSIVE = ["(?R)?a(?R)?b", "(a(?1)?)b", "(?<n>a(?&n)?)b", "(?<n>a(?P>n)?)b", "(a(?-1)?)b", "(?0)?a"]


@pytest.mark.parametrize("expression", [*HUGE, *VERBOSE, *RECURSIVE])
def test_what_would_take_memory_without_end_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"written out|is not supported"):
        compiled(expression)
    assert Expressions().fits(expression, "a") is None


@pytest.mark.parametrize(("expression", "text"), [
    ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "c757873d-ec9a-4326-a141-556f43239520"),
    ("([0-9a-f]{4}-){3}[0-9a-f]{12}", "ec9a-4326-a141-556f43239520"), (r"\(?\d{3}\)?-?\d{3}-?\d{4}", "(555)-123-4567"),
    (r"(\d{1,3}\.){3}\d{1,3}", "127.0.0.1"), ("(?:(?:a{0,999}){0,999}){0,999}", "aaa"), ("(?i)max{1}", "MAX"),
    ("(?-i:a)b", "ab"), ("(?P<x>a)(?P=x)", "aa"),
])  # fmt: skip
def test_what_people_write_is_compiled(expression: str, text: str) -> None:
    assert compiled(expression).fullmatch(text, timeout=1) is not None
    assert re.fullmatch(expression, text) is not None


def test_groups_multiply_and_what_stands_side_by_side_adds_up() -> None:
    assert written_out("a{9}b{9}") == 8 + 18
    assert written_out("(?:a{9}){9}") == 9 * (11 + 9)
    assert written_out("(?:a{9}){9}") < MOST_WRITTEN_OUT < written_out("(?:(?:a{9}){99}){99}")
