"""What a client's CapabilityStatement asks for and a server's does not offer, and the part of a statement about types.

By the rules of https://hl7.org/fhir/R4/capabilitystatement-operation-implements.html; profiles are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hie.errors import OutcomeIssue
from hie.fhir import summary

Json = dict[str, Any]

_FLAGS = ("updateCreate", "conditionalCreate", "conditionalUpdate")
#: How much each code means: one is met by itself and by those that mean more.
_LEVELS = {
    "conditionalRead": {"not-supported": 0, "modified-since": 1, "not-match": 1, "full-support": 2},
    "conditionalDelete": {"not-supported": 0, "single": 1, "multiple": 2},
}
_DROPPED = frozenset({"text", "messaging", "document"})


def subset(statement: Json, types: Iterable[str]) -> Json:
    """Return the REST parts of a statement that are about some resource types, marked SUBSETTED."""
    wanted = frozenset(types)
    part = {name: value for name, value in statement.items() if name.removeprefix("_") not in _DROPPED}
    part["rest"] = [_rest(one, wanted) for one in statement["rest"]]
    return summary.marked(part)


def _rest(rest: Json, wanted: frozenset[str]) -> Json:
    kept = [one for one in rest.get("resource", []) if one.get("type") in wanted]
    part = {name: value for name, value in rest.items() if name != "resource"}
    return part | ({"resource": kept} if kept else {})


def missing(server: Json, client: Json) -> list[OutcomeIssue]:
    """Return an issue for each thing that the client's statement has and the server's has not."""
    offered = [one for one in server.get("rest", []) if one.get("mode") == "server"]
    return [issue for number, one in enumerate(client.get("rest", []))
            for issue in _of_rest(one, offered, f"CapabilityStatement.rest[{number}]")]


def _of_rest(asked: Json, offered: list[Json], place: str) -> Iterator[OutcomeIssue]:
    yield from _listed(asked, offered, place, "the system")
    for number, one in enumerate(asked.get("resource", [])):
        type_name, there = one.get("type"), f"{place}.resource[{number}]"
        found = [row for rest in offered for row in rest.get("resource", []) if row.get("type") == type_name]
        if not found:
            yield _lacking(f"The server does not offer {type_name}.", f"{there}.type")
            continue
        yield from _flags(one, found[0], there)
        yield from _listed(one, [found[0], *_of_all_types(offered)], there, str(type_name))


def _of_all_types(offered: list[Json]) -> Iterator[Json]:
    """Give what each REST part says of all types: search parameters, but no interactions and operations."""
    return ({"searchParam": rest.get("searchParam", [])} for rest in offered)


def _flags(asked: Json, found: Json, place: str) -> Iterator[OutcomeIssue]:
    type_name = asked.get("type")
    for name in _FLAGS:
        if asked.get(name) is True and found.get(name) is not True:
            yield _lacking(f"The server does not offer {name} of {type_name}.", f"{place}.{name}")
    for name, levels in _LEVELS.items():
        if name in asked and not _meets(found.get(name, "not-supported"), asked[name], levels):
            yield _lacking(f"{name} of {type_name} is {found.get(name, 'not-supported')} at the server, not "
                           f"{asked[name]}.", f"{place}.{name}")
    for name in ("searchInclude", "searchRevInclude"):
        offered = set(found.get(name, []))
        for number, text in enumerate(asked.get(name, [])):
            if not offered & {text, "*", f"{text.partition(':')[0]}:*"}:
                yield _lacking(f"The server does not offer {name} {text[:200]} of {type_name}.",
                               f"{place}.{name}[{number}]")


def _meets(found: str, asked: str, levels: Mapping[str, int]) -> bool:
    return found == asked or levels.get(found, -1) > levels.get(asked, len(levels))


def _listed(asked: Json, found: list[Json], place: str, of: str) -> Iterator[OutcomeIssue]:
    """Compare interactions by code, search parameters by name and definition, operations by definition."""
    codes = {row.get("code") for one in found for row in one.get("interaction", [])}
    for number, row in enumerate(asked.get("interaction", [])):
        if row.get("code") not in codes:
            yield _lacking(f"The server does not offer {row.get('code')} of {of}.", f"{place}.interaction[{number}]")
    parameters = {(row.get("name"), _url(row)) for one in found for row in one.get("searchParam", [])}
    names = {name for name, _ in parameters}
    for number, row in enumerate(asked.get("searchParam", [])):
        wanted = row.get("name"), _url(row)
        if wanted not in parameters and not (wanted[1] is None and wanted[0] in names):
            by = f" by {wanted[1]}" if wanted[1] else ""
            yield _lacking(f"The server does not offer the search parameter {wanted[0]} of {of}{by}.",
                           f"{place}.searchParam[{number}]")
    operations = {_url(row) for one in found for row in one.get("operation", [])}
    for number, row in enumerate(asked.get("operation", [])):
        if _url(row) not in operations:
            yield _lacking(f"The server does not offer the operation {row.get('name')} of {of}: {_url(row)}.",
                           f"{place}.operation[{number}]")


def _url(row: Json) -> str | None:
    definition = row.get("definition")
    return definition.partition("|")[0] if isinstance(definition, str) else None


def _lacking(told: str, place: str) -> OutcomeIssue:
    return OutcomeIssue("not-supported", told, place)
