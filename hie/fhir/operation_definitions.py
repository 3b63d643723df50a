"""The OperationDefinitions of this server: https://hl7.org/fhir/R4/operationdefinition.html

Computed from the registered operations, so that each defines what is taken. None is stored: they have addresses of
their own, `[base]/OperationDefinition/-hie-…`, and no resource is stored under such an id. docs/adr/0027
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from html import escape
from typing import Any, Protocol

from hie.errors import InvalidRequest
from hie.fhir import facts

TYPE = "OperationDefinition"
PREFIX = "-hie-"
_LONGEST_ID = 64
_WORD = re.compile(r"[A-Za-z0-9]+", re.ASCII)

Json = dict[str, Any]


class DefinedParameter(Protocol):
    """What is defined of a parameter."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def min(self) -> int: ...
    @property
    def max(self) -> str: ...
    @property
    def documentation(self) -> str: ...
    @property
    def parts(self) -> Sequence[DefinedParameter]: ...
    @property
    def search_type(self) -> str | None: ...
    @property
    def binding(self) -> tuple[str, str] | None: ...
    @property
    def refused(self) -> str | None: ...


class NamedOperation(Protocol):
    """What the address of an operation's definition says."""

    @property
    def code(self) -> str: ...
    @property
    def types(self) -> frozenset[str] | None: ...


class DefinedOperation(NamedOperation, Protocol):
    """What is defined of an operation."""

    @property
    def levels(self) -> frozenset[str]: ...
    @property
    def definition(self) -> str | None: ...
    @property
    def documentation(self) -> str: ...
    @property
    def parameters(self) -> Sequence[DefinedParameter]: ...
    @property
    def returns(self) -> Sequence[DefinedParameter]: ...
    @property
    def affects_state(self) -> bool: ...
    @property
    def stores_by_post(self) -> bool: ...


def is_address(type_name: str, id_: str) -> bool:
    """Tell whether `[type]/[id]` is the address of one of these definitions, or could be."""
    return type_name == TYPE and id_.startswith(PREFIX)


def refuse_to_store(type_name: str, id_: str) -> None:
    """Refuse to store something where nobody could read it."""
    if is_address(type_name, id_):
        raise InvalidRequest(f"Ids of {TYPE}s that begin with {PREFIX} are those of this server's own, which are not "
                             f"stored; {id_[:80]} is one.", expression=f"{TYPE}.id")


def id_of(operation: NamedOperation) -> str:
    """Return the id of an operation's definition: its types and its code."""
    id_ = PREFIX + "-".join([*sorted(operation.types or ()), operation.code])
    if len(id_) <= _LONGEST_ID:
        return id_
    return f"{id_[: _LONGEST_ID - 17]}-{blake2b(id_.encode(), digest_size=8).hexdigest()}"


def url_of(operation: NamedOperation, base_url: str) -> str:
    """Return the canonical URL of an operation's definition, which is where it is read."""
    return f"{base_url}/{TYPE}/{id_of(operation)}"


def operation_definition(
    operation: DefinedOperation, *, base_url: str, version: str, searched_by: Iterable[Mapping[str, str]] = ()
) -> Json:
    """Return the definition of an operation; `searched_by`: the search parameters that it takes beside its own, as the
    CapabilityStatement has them.
    """
    words = [word for part in (*sorted(operation.types or ()), operation.code) for word in _WORD.findall(part)]
    definition: Json = {
        "resourceType": TYPE,
        "id": id_of(operation),
        "url": url_of(operation, base_url),
        "version": version,
        "name": "".join(word[:1].upper() + word[1:] for word in words)[:255],
        "title": " ".join([*sorted(operation.types or ()), f"${operation.code}"]),
        "status": "active",
        "kind": "operation",
    }
    if operation.documentation:
        definition["description"] = operation.documentation
    if (affects := _affects_state(operation)) is not None:
        definition["affectsState"] = affects
    definition |= {"code": operation.code, "comment": _comment(operation)}
    if operation.definition is not None:
        definition["base"] = operation.definition
    if operation.types is not None or operation.levels != {"system"}:
        definition["resource"] = sorted(operation.types or ("Resource",))
    definition |= {level: level in operation.levels for level in ("system", "type", "instance")}
    parameters = [*_parameters(operation.parameters, "in"), *_searched(operation, searched_by),
                  *_parameters(operation.returns, "out")]
    definition |= {"parameter": parameters} if parameters else {}
    head = {"resourceType": TYPE, "id": definition["id"], "text": _narrative(definition)}
    return head | definition


def _narrative(definition: Json) -> Json:
    """Tell what the definition says: https://hl7.org/fhir/R4/narrative.html"""
    told = [f"<h2>{escape(definition['title'])}</h2>"]
    told += [f"<p>{escape(definition[name])}</p>" for name in ("description", "comment") if name in definition]
    rows = list(_rows(definition.get("parameter", ()), ""))
    told += [f"<table>{''.join(rows)}</table>"] if rows else []
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"".join(told)}</div>'}


def _rows(parameters: Iterable[Json], above: str) -> Iterator[str]:
    for one in parameters:
        name = f"{above}{one['name']}"
        cells = (one["use"], name, f"{one['min']}..{one['max']}", one.get("type", ""), one.get("documentation", ""))
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        yield from _rows(one.get("part", ()), f"{name}.")


def _affects_state(operation: DefinedOperation) -> bool | None:
    """Return None where that is for some requests to say."""
    return None if operation.stores_by_post and not operation.affects_state else operation.affects_state


def _comment(operation: DefinedOperation) -> str:
    """Say how the operation is called."""
    types = sorted(operation.types) if operation.types is not None else ["[type]"]
    below = {"system": [""], "type": [f"{one}/" for one in types], "instance": [f"{one}/[id]/" for one in types],
             "version": [f"{one}/[id]/_history/[vid]/" for one in types]}
    places = [f"`[base]/{place}${operation.code}`" for level in below if level in operation.levels
              for place in below[level]]
    needs_body = any(one.min > 0 and one.type not in facts.PRIMITIVE_TYPES for one in operation.parameters)
    how = "POST" if operation.affects_state or needs_body else "GET or POST"
    by_post = " Only POST stores something." if operation.stores_by_post else ""
    return f"{how} {', '.join(places)}.{by_post}"


def _parameters(parameters: Iterable[DefinedParameter], use: str) -> Iterator[Json]:
    for one in parameters:
        text = f"Not taken here. {one.refused}" if one.refused is not None else one.documentation
        row: Json = {"name": one.name, "use": use, "min": one.min, "max": "0" if one.refused is not None else one.max}
        if text:
            row["documentation"] = text
        if one.type:
            row["type"] = one.type
        if one.search_type is not None:
            row["searchType"] = one.search_type
        if one.binding is not None:
            row["binding"] = dict(zip(("strength", "valueSet"), one.binding, strict=True))
        if one.parts:
            row["part"] = list(_parameters(one.parts, use))
        yield row


def _searched(operation: DefinedOperation, searched_by: Iterable[Mapping[str, str]]) -> Iterator[Json]:
    own = {one.name for one in operation.parameters}
    for one in searched_by:
        if one["name"] not in own:
            told = one.get("documentation") or f"The [search parameter]({one['definition']}), with its modifiers."
            yield {"name": one["name"], "use": "in", "min": 0, "max": "*", "documentation": told, "type": "string",
                   "searchType": one["type"]}
