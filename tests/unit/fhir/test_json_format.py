"""Strict FHIR JSON: https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from hie.fhir import json_format
from hie.fhir.json_format import Fragment, JsonDecimal, JsonError, dump, parse

KEPT = [
    b'{"resourceType":"Patient","id":"a"}',
    b'{"value":1.00}',
    b'{"value":1e3}',
    b'{"value":1E+3,"other":-0.0}',
    b'{"value":12345678901234567890.123}',
    b'{"value":0.00000000000000000001}',
    b'{"value":123456789012345678901234567890}',
    b'{"value":-9223372036854775809}',
    b'{"b":1,"a":2,"c":[true,false,null,"x"]}',
    '{"name":"Ä😀\u2028"}'.encode(),
    b'{"text":"\\n\\t\\"\\\\"}',
    b"[]",
    b'"a"',
    b"1",
    b"1.50",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_read_is_written_again_byte_for_byte(text: bytes) -> None:
    assert dump(parse(text)) == text


def test_numbers_keep_their_kind() -> None:
    value = parse(b'{"i":1,"d":1.0,"e":1e0}')
    assert type(value["i"]) is int
    assert type(value["d"]) is JsonDecimal
    assert type(value["e"]) is JsonDecimal


def test_a_decimal_is_a_number_that_remembers_its_text() -> None:
    value = parse(b"1.00")
    assert value == Decimal("1")
    assert value + 1 == 2
    assert value < 1.5
    assert hash(value) == hash(1)
    assert str(value) == "1.00"
    assert str(pickle.loads(pickle.dumps(parse(b"1e3")))) == "1e3"  # noqa: S301 - our own bytes


REFUSED = {
    "duplicate at the top": (b'{"resourceType":"Patient","id":"a","id":"b"}', "'id' is given twice",
                             "Patient.id", 1, 36),
    "duplicate below": (b'{"resourceType":"Patient","name":[{},\n{"use":"usual","use":"usual"}]}',
                        "'use' is given twice", "Patient.name[1].use", 2, 16),
    "duplicate written with an escape": (b'{"id":"a","\\u0069d":"b"}', "'id' is given twice", "id", 1, 11),
    "NaN": (b'{"value":NaN}', "NaN is no JSON value", "value", 1, 10),
    "Infinity": (b"[1,-Infinity]", "-Infinity is no JSON value", "[1]", 1, 4),
    "exponent beyond reason": (b'{"value":1e999999999}', "exponent", "value", 1, 10),
    "negative exponent beyond reason": (b'{"value":1e-1000}', "exponent", "value", 1, 10),
    "integer beyond reason": (b'{"value":' + b"9" * 5000 + b"}", "too long", "value", 1, 10),
    "decimal beyond reason": (b'{"value":0.' + b"9" * 5000 + b"}", "too long", "value", 1, 10),
    "lone surrogate": (b'{"name":"\\ud83d"}', "surrogate", "name", 1, 9),
    "lone low surrogate": (b'{"name":"\\uDE00"}', "surrogate", "name", 1, 9),
    "surrogates the wrong way round": (b'["\\ude00\\ud83d"]', "surrogate", "[0]", 1, 2),
    "latin-1": ('{"name":"é"}'.encode("latin-1"), "not UTF-8: byte 0xe9 at offset 9", None, 1, 10),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "UTF-16", None, 1, 1),
    "UTF-16 without mark": ('{"a":1}'.encode("utf-16-be"), "UTF-16", None, 1, 1),
    "UTF-32": ('{"a":1}'.encode("utf-32-le"), "UTF-16 or UTF-32", None, 1, 1),
    "encoded surrogate": (b'"\xed\xa0\x80"', "not UTF-8", None, 1, 2),
    "nothing": (b"", "a value is expected", None, 1, 1),
    "only space": (b" \n ", "a value is expected", None, 2, 2),
    "two values": (b"{} {}", "extra data", None, 1, 4),
    "trailing comma": (b'{"a":1 , }', "a comma stands before this end", None, 1, 10),
    "trailing comma in an array": (b"[1,\n]", "a comma stands before this end", "[1]", 2, 1),
    "single quotes": (b"{'a':1}", "property name", None, 1, 2),
    "comment": (b'{"a":1 /* b */}', "delimiter", "a", 1, 8),
    "leading zero": (b"[01]", "delimiter", "[0]", 1, 3),
    "leading plus": (b"[+1]", "a value is expected", "[0]", 1, 2),
    "missing value": (b'{"a":}', "a value is expected", "a", 1, 6),
    "unfinished string": (b'{"a":"b', "unterminated string", "a", 1, 6),
    "control character in a string": (b'"a\x01"', "control character", None, 1, 3),
    "unfinished array": (b"[1,2", "delimiter", "[1]", 1, 5),
    "True": (b"[True]", "True is no JSON value", "[0]", 1, 2),
}


@pytest.mark.parametrize(("text", "message", "expression", "line", "column"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strict_json_is_refused_with_its_place(
    text: bytes, message: str, expression: str | None, line: int, column: int
) -> None:
    with pytest.raises(JsonError) as refused:
        parse(text)
    found = refused.value
    assert message in found.message
    assert (found.expression, found.line, found.column) == (expression, line, column)


@pytest.mark.parametrize("depth", [1, 3, 64])
def test_nesting_up_to_the_limit_is_read(depth: int) -> None:
    text = b"[" * depth + b"]" * depth
    assert dump(parse(text, max_depth=depth)) == text
    inside = b'{"a":' * (depth - 1) + b'{"b":"]}[{\\"[["}' + b"}" * (depth - 1)
    assert dump(parse(inside, max_depth=depth)) == inside


@pytest.mark.parametrize("text", [
    b"[" * 65 + b"]" * 65,
    b'{"a":' * 65 + b"1" + b"}" * 65,
    b"[" * 100_000,
    b'[{"a":' * 50_000,
    b"[" * 100_000 + b"]" * 100_000,
    b"[[],[]," + b"[" * 64 + b"]" * 64 + b"]",
    b'["\\"",' + b"[" * 64 + b"]" * 64 + b"]",
], ids=["arrays", "objects", "never closed", "never closed objects", "very deep", "after siblings", "after a quote"])
def test_deeper_nesting_is_refused_before_it_can_hurt(text: bytes) -> None:
    with pytest.raises(JsonError, match="deeper than 64"):
        parse(text)


@pytest.mark.parametrize(("text", "told"), [
    (b'{"resourceType":"Group","a":[1,1,1,1],}', "a comma stands before this end. Line 1, column 39 (Group)."),
    (b'{"resourceType":"Group","a":[1,1,1,1],"b":1,"b":1}', "too long to say where. Line 1, column 32 (Group)."),
    (b'{"resourceType":"Group","a":[1,1,1,1],"b":NaN}', "too long to say where. Line 1, column 32 (Group)."),
    (b'{"b":NaN,"resourceType":"Group","a":[1,1,1,1]}', "NaN is no JSON value. Line 1, column 6 (Group.b)."),
])  # fmt: skip
def test_the_place_of_an_error_is_looked_for_so_far(monkeypatch: pytest.MonkeyPatch, text: bytes, told: str) -> None:
    """30 MB with an error at the end kept a process busy for 30 s."""
    monkeypatch.setattr(json_format, "MOST_TOKENS", 10)
    with pytest.raises(JsonError) as refusal:
        parse(text)
    assert str(refusal.value).endswith(told)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    text = b"[" + b",".join([b'{"a":["[[[","\\\\",{}]}'] * 200) + b"]"
    assert dump(parse(text)) == text


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_surrogate_pairs_and_escaped_backslashes_are_read() -> None:
    assert parse(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["😀", "\\ud800"]


def test_space_around_a_value_is_ignored() -> None:
    assert parse(b"\r\n\t {} \n") == {}


def test_a_serialised_resource_can_be_embedded() -> None:
    assert dump({"entry": [Fragment(b'{"value":1.00}')]}) == b'{"entry":[{"value":1.00}]}'


def test_pretty_output_holds_the_same_value() -> None:
    value = parse(b'{"a":[1.00,{"b":null}]}')
    pretty = dump(value, pretty=True)
    assert b"\n" in pretty
    assert dump(parse(pretty)) == dump(value)


def test_plain_decimals_are_written_and_impossible_ones_refused() -> None:
    assert dump([Decimal("1.10")]) == b"[1.10]"
    with pytest.raises(TypeError):
        dump([Decimal("NaN")])
    with pytest.raises(TypeError):
        dump([object()])


def test_the_message_tells_line_and_column() -> None:
    with pytest.raises(JsonError, match=r"Line 1, column 2 \(\[0\]\)"):
        parse(b"[NaN]")
