"""Whether what an operation answers is what its record in the registry, and so its OperationDefinition, says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hie.registry import Operation, Parameter, Registry

#: Any resource, and any data type, by R4.
_ANY_RESOURCE, _ANY_VALUE = frozenset({"Resource", "Any"}), frozenset({"Element", "Type"})
#: Parts that stand for whatever name there is.
_OPEN = frozenset({"item", "variable"})


def check(registry: Registry, path: str, status: int, headers: Any, content: bytes) -> None:
    """See that an answer in FHIR JSON to `…/$code` has what is defined, each as often as that says."""
    address = path.partition("?")[0].removeprefix("/fhir/")
    before, dollar, code = address.rpartition("$")
    if not dollar or status != 200 or not str(headers.get("Content-Type")).startswith("application/fhir+json"):
        return
    type_name = before.partition("/")[0] or None
    operation = registry.operation(code.rstrip("/"), type_name)
    if operation is None or not content:
        return
    answer = json.loads(content)
    alone = operation.returns[0].type if len(operation.returns) == 1 else None
    if alone == answer["resourceType"] or alone in _ANY_RESOURCE or _is_told_otherwise(operation, answer):
        return
    assert answer["resourceType"] == "Parameters", (path, answer["resourceType"])
    _check(operation.returns, answer.get("parameter", []), address)


def _is_told_otherwise(operation: Operation, answer: Any) -> bool:
    """Tell whether the words of a definition allow what its parameters do not."""
    return operation.code == "reindex" and answer["resourceType"] == "OperationOutcome"


def _check(defined: Sequence[Parameter], rows: list[Any], where: str) -> None:
    known = {one.name: one for one in defined}
    for row in rows:
        one = known.get(row["name"]) or next((other for other in defined if other.name in _OPEN), None)
        assert one is not None, f"{where}: {row['name']} is not defined"
        value = next((key.removeprefix("value") for key in row if key.startswith("value")), None)
        if "resource" in row:
            held = row["resource"]["resourceType"]
            assert one.type in (held, *_ANY_RESOURCE) or one.name in _OPEN, (where, row["name"], held)
        elif value is not None and one.type not in _ANY_VALUE and not one.parts:
            assert one.type[:1].upper() + one.type[1:] == value, (where, row["name"], value)
        if one.parts:
            _check(one.parts, row.get("part", []), f"{where} {one.name}")
    for one in defined:
        times = sum(row["name"] == one.name for row in rows)
        assert one.min <= times, (where, one.name)
        assert one.max == "*" or times <= int(one.max), (where, one.name)
