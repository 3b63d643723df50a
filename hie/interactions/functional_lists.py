"""Functional lists, such as the current problem list of a patient: https://hl7.org/fhir/R4/lifecycle.html#current

Whether an entry is current cannot be told by its own status, as the specification says: somebody keeps a List. It is
found by its code, is in use (`current`) and maintained (`working`); no list is made up where there is none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidSearch, NotSupported
from hie.fhir import json_format
from hie.fhir.http import FhirRequest
from hie.store.search import query as search_query
from hie.store.versions import StoredVersion

Parameters = tuple[tuple[str, str], ...]

_USES, _LOINC = "http://terminology.hl7.org/CodeSystem/list-example-use-codes", "http://loinc.org"
#: The codes of the lists: R4's own, and those of LOINC that lifecycle.html#lists and the IPS name.
CODES = {
    "$current-problems": (f"{_USES}|problems", f"{_LOINC}|46105-3", f"{_LOINC}|11450-4"),
    "$current-medications": (f"{_USES}|medications", f"{_LOINC}|57828-6", f"{_LOINC}|10160-0"),
    "$current-allergies": (f"{_USES}|allergies", f"{_LOINC}|18716-1", f"{_LOINC}|52472-8", f"{_LOINC}|48765-2"),
}
#: Lists that one search goes through.
MOST_LISTS = 200
_OWNERS = frozenset({"patient", "subject"})


class _Unknown(InvalidSearch):
    code = "not-found"


class _TooMany(InvalidSearch):
    code = "too-costly"


def is_asked(parameters: Parameters) -> bool:
    """Tell whether a search asks for a functional list."""
    return any(name == "_list" and text.startswith("$") for name, text in parameters)


def by_id(request: FhirRequest, ctx: Context) -> FhirRequest:
    """Return the search with the ids of the Lists that serve each function for the patients that are asked for."""
    mine = request.compartment if request.compartment and request.compartment[0] == "Patient" else None
    owners = tuple(pair for pair in request.parameters if _head(pair[0]) in _OWNERS)
    if mine is not None:
        owners = (*owners, ("patient", mine[1]))
    for name, text in request.parameters:
        if name == "_list" and text.startswith("$"):
            _codes(text, "_list")  # before a patient is asked for who would not help
    if not owners:
        raise InvalidSearch("A functional list is that of a patient: ask for patient (or subject) too, or in the "
                            "patient's compartment.", expression="_list")
    found: dict[tuple[str, str], str] = {}  # each is looked up once, however often it is named
    for name, text in request.parameters:
        if name == "_list" and text.startswith("$") and (name, text) not in found:
            found[name, text] = _ids(text, owners, ctx)
    return replace(request, parameters=tuple((name, found.get((name, text), text))
                                             for name, text in request.parameters))


def _head(name: str) -> str:
    return name.partition(".")[0].partition(":")[0]


def _ids(name: str, owners: Parameters, ctx: Context) -> str:
    found = lists(name, owners, ctx, "_list")
    if not found:
        raise _Unknown(f"_list={name}: no such list of the patient is known here, so that what is on it cannot be "
                       "told.", expression="_list")
    return ",".join(one.id for one in found)


def lists(name: str, owners: Parameters, ctx: Context, expression: str) -> list[StoredVersion]:
    """Return the Lists that serve a function for some patients, as far as the token may see them."""
    codes = ",".join(_codes(name, expression))
    asked = search_query.parse(
        "List", [("status", "current"), ("code", codes), *owners, ("_sort", "_id"), ("_total", "none")],
        default_count=MOST_LISTS + 1, max_count=MOST_LISTS + 1, base_url=ctx.base_url, now=ctx.clock(),
    )  # fmt: skip
    page = ctx.store.search(asked)
    found = page.matches
    if len(found) > MOST_LISTS or page.next_cursor is not None:  # the largest of Lists end a page before
        raise _TooMany(f"More than {MOST_LISTS} Lists may be meant by {name}; ask for fewer patients.",
                       expression=expression)
    return [one for one in found if _content(one).get("mode") == "working"]


def _codes(name: str, expression: str) -> tuple[str, ...]:
    found = CODES.get(name)
    if found is None:
        raise NotSupported(f"{name[:80]!r} is no functional list here; there are {', '.join(CODES)}.",
                           expression=expression)
    return found


def _content(version: StoredVersion) -> dict[str, Any]:
    found: dict[str, Any] = json_format.parse(version.content or b"{}")
    return found
