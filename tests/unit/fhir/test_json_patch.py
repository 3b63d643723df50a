"""JSON Patch and merge patch: https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc7396"""

from decimal import Decimal
from typing import Any

import pytest

from hie.errors import Conflict, InvalidRequest, TooCostly, Unprocessable
from hie.fhir import json_format, patching
from hie.fhir.fhirpath import Allowance
from hie.fhir.json_format import JsonDecimal
from hie.fhir.patching import bounds


def patched(document: str, *operations: dict[str, Any], allowance: Allowance | None = None) -> Any:
    resource = json_format.parse(document.encode())
    return patching.parse(patching.JSON_PATCH, list(operations)).applied(resource, allowance)


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    if "from_" in more:
        more["from"] = more.pop("from_")
    return {"op": name, "path": path, **more}


APPLIED: dict[str, tuple[str, list[dict[str, Any]], Any]] = {
    "add a property": ('{"a":1}', [op("add", "/b", value=2)], {"a": 1, "b": 2}),
    "add over a property": ('{"a":1}', [op("add", "/a", value=2)], {"a": 2}),
    "add into an array": ('{"a":[1,3]}', [op("add", "/a/1", value=2)], {"a": [1, 2, 3]}),
    "add at the end": ('{"a":[1]}', [op("add", "/a/-", value=2)], {"a": [1, 2]}),
    "add at the length": ('{"a":[1]}', [op("add", "/a/1", value=2)], {"a": [1, 2]}),
    "add an array to an array": ('{"a":["x"]}', [op("add", "/a/-", value=["y"])], {"a": ["x", ["y"]]}),
    "remove": ('{"a":1,"b":2}', [op("remove", "/a")], {"b": 2}),
    "remove from an array": ('{"a":[1,2,3]}', [op("remove", "/a/1")], {"a": [1, 3]}),
    "an array that becomes empty goes": ('{"a":[1],"b":1}', [op("remove", "/a/0")], {"b": 1}),
    "an object that becomes empty goes": ('{"a":{"b":{"c":1}},"d":1}', [op("remove", "/a/b/c")], {"d": 1}),
    "replace": ('{"a":{"b":1}}', [op("replace", "/a/b", value=[1])], {"a": {"b": [1]}}),
    "replace in an array": ('{"a":[1,2]}', [op("replace", "/a/0", value=3)], {"a": [3, 2]}),
    "replace everything": ('{"a":1}', [op("replace", "", value={"b": 1})], {"b": 1}),
    "move": ('{"a":{"b":1},"c":{"x":0}}', [op("move", "/c/d", from_="/a/b")], {"c": {"x": 0, "d": 1}}),
    "move within an array": ('{"a":[1,2,3]}', [op("move", "/a/2", from_="/a/0")], {"a": [2, 3, 1]}),
    "move to its own place": ('{"a":1}', [op("move", "/a", from_="/a")], {"a": 1}),
    "copy": ('{"a":{"b":1}}', [op("copy", "/c", from_="/a"), op("replace", "/c/b", value=2)],
             {"a": {"b": 1}, "c": {"b": 2}}),
    "escaped names": ('{"a/b":1,"m~n":2,"~1":3}', [op("replace", "/a~1b", value=4), op("replace", "/m~0n", value=5),
                                                   op("replace", "/~01", value=6)], {"a/b": 4, "m~n": 5, "~1": 6}),
    "an empty name": ('{"":1}', [op("replace", "/", value=2)], {"": 2}),
    "a number as a name": ('{"0":1}', [op("replace", "/0", value=2)], {"0": 2}),
    "unknown members are ignored": ('{"a":1}', [op("remove", "/a", xyz=1), op("add", "/b", value=1)], {"b": 1}),
    "tests that hold": ('{"a":1.00,"b":[true,null,"x"],"c":{"d":1,"e":2}}', [
        op("test", "/a", value=1), op("test", "/b", value=[True, None, "x"]), op("test", "/c", value={"e": 2, "d": 1}),
        op("add", "/f", value=0)], {"a": Decimal(1), "b": [True, None, "x"], "c": {"d": 1, "e": 2}, "f": 0}),
}  # fmt: skip


@pytest.mark.parametrize(("document", "operations", "expected"), APPLIED.values(), ids=APPLIED.keys())
def test_operations_do_what_they_say(document, operations, expected):
    assert patched(document, *operations) == expected


CONFLICTS: dict[str, tuple[str, dict[str, Any]]] = {
    "add below nothing": ('{"a":1}', op("add", "/b/c", value=1)),
    "add below a string": ('{"a":"x"}', op("add", "/a/b", value=1)),
    "add beyond the end": ('{"a":[1]}', op("add", "/a/2", value=1)),
    "an index with a zero": ('{"a":[1,2]}', op("replace", "/a/01", value=1)),
    "a negative index": ('{"a":[1,2]}', op("remove", "/a/-1")),
    "a name in an array": ('{"a":[1]}', op("add", "/a/x", value=1)),
    "remove nothing": ('{"a":1}', op("remove", "/b")),
    "remove the end": ('{"a":[1]}', op("remove", "/a/-")),
    "remove everything": ('{"a":1}', op("remove", "")),
    "replace nothing": ('{"a":1}', op("replace", "/b", value=1)),
    "move nothing": ('{"a":1}', op("move", "/c", from_="/b")),
    "copy nothing": ('{"a":1}', op("copy", "/c", from_="/b")),
    "test nothing": ('{"a":1}', op("test", "/b", value=None)),
    "true is not 1": ('{"a":true}', op("test", "/a", value=1)),
    "1 is not true": ('{"a":1}', op("test", "/a", value=True)),
    "a string is no number": ('{"a":"10"}', op("test", "/a", value=10)),
    "arrays have an order": ('{"a":[1,2]}', op("test", "/a", value=[2, 1])),
}


@pytest.mark.parametrize(("document", "operation"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_what_does_not_fit_the_resource_is_a_conflict_naming_the_operation(document, operation):
    with pytest.raises(Conflict, match=r"^Operation 1 \("):
        patched(document, op("test", "", value=json_format.parse(document.encode())), operation)


MALFORMED: dict[str, Any] = {
    "no array": {}, "no object": [1], "no op": [{"path": "/a"}], "unknown op": [op("spam", "/a")],
    "no path": [{"op": "remove"}], "a path that is no text": [op("remove", 1)], "no slash": [op("remove", "a")],
    "a wrong escape": [op("remove", "/a~2")], "a lone ~": [op("remove", "/a~")], "no value": [op("add", "/a")],
    "no from": [op("move", "/a")], "a from that is none": [op("copy", "/a", from_="b")],
    "a move into itself": [op("move", "/a/b", from_="/a")],
}  # fmt: skip


@pytest.mark.parametrize("document", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_json_patch_is_refused_before_it_is_applied(document):
    with pytest.raises(InvalidRequest):
        patching.parse(patching.JSON_PATCH, document)


def test_decimals_keep_every_digit():
    result = patched('{"a":1.00}', op("copy", "/b", from_="/a"), op("add", "/c", value=JsonDecimal("2.50")))
    assert json_format.dump(result) == b'{"a":1.00,"b":1.00,"c":2.50}'


@pytest.mark.parametrize("operations", [
    [op("copy", f"/x{number}", from_="") for number in range(60)],
    [op("copy", "/a", from_="")] * 70,
], ids=["wide", "deep"])  # fmt: skip
def test_a_patch_that_grows_without_end_is_refused(operations, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_SECONDS", 600.0)  # by how much it grows, however long a busy machine takes
    with pytest.raises(Unprocessable, match=r"copies more|nested deeper"):
        patched('{"a":{"b":1}}', *operations)


@pytest.mark.parametrize("operation", [
    op("add", "/a/0", value=1), op("remove", "/a/0"), op("move", "/a/1", from_="/a/0"), op("copy", "/b", from_="/a/0"),
    op("copy", "/b", from_="/c"),
], ids=["shift up", "shift down", "shift both ways", "copy", "copy a long text"])  # fmt: skip
def test_work_is_bounded_of_all_patches_of_a_transaction_together(operation, monkeypatch):
    document = f'{{"a":[{",".join("0" * 30_000)}],"c":"{"x" * 2_000}"}}'
    monkeypatch.setattr(bounds, "MOST_LOOKED_AT", 1_500)
    with pytest.raises(TooCostly, match=r"Operation \d+ .* more than 1500"):
        patched(document, *[operation] * 800)
    together = Allowance(10.0, 1_500)
    patched(document, *[operation] * 10, allowance=together)
    with pytest.raises(TooCostly, match="with what goes before in the transaction"):
        patched(document, *[operation] * 790, allowance=together)


def test_a_long_text_may_be_brought_and_what_is_copied_of_it_is_counted_by_its_length():
    text = "x" * 30_000_000
    assert len(patched('{"a":1}', op("add", "/b", value=text))["b"]) == len(text)
    copies = [op("copy", f"/c{number}", from_="/b") for number in range(2)]
    with pytest.raises(TooCostly, match=r"Operation 2 \(copy /c1\)"):
        patched('{"a":1}', op("add", "/b", value=text), *copies)


#: the table of RFC 7396, appendix A, as far as target and patch are objects
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}), ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}), ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}), ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}), ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}), ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}, "x": 1}, {"x": 1}), ({"a": "foo"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "document", "expected"), MERGES)
def test_a_merge_patch_merges(target, document, expected):
    assert patching.parse(patching.MERGE_PATCH, document).applied(target) == expected


@pytest.mark.parametrize("document", [[], None, 1, "x"])
def test_a_merge_patch_that_is_no_object_is_refused(document):
    with pytest.raises(InvalidRequest):
        patching.parse(patching.MERGE_PATCH, document)


def test_a_merge_patch_of_too_many_values_is_refused_before_it_is_applied(monkeypatch):
    monkeypatch.setattr(bounds, "MOST_VALUES", 10)
    patching.parse(patching.MERGE_PATCH, {"name": [{"given": ["a", "b", "c"]}, {"given": ["a", "b"]}]})
    with pytest.raises(TooCostly, match="more than 10 values"):
        patching.parse(patching.MERGE_PATCH, {"name": [{"given": ["a", "b", "c"]}, {"given": ["a", "b", "c"]}]})
    with pytest.raises(TooCostly, match="more than 10 values"):
        patching.parse(patching.MERGE_PATCH, {"name": [{}] * 10})


def test_a_pointer_goes_no_deeper_than_resources_are_nested():
    deep = "/a" * 66
    with pytest.raises(InvalidRequest, match="more than 65 steps"):
        patching.parse(patching.JSON_PATCH, [op("remove", deep)])
    with pytest.raises(Conflict):
        patched('{"a":1}', op("remove", deep[2:]))
