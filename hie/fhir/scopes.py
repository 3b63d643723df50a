"""SMART App Launch v2 scopes of system clients, and the grant they make.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.short_texts import remembered_if_short

#: letter -> what it allows; letters stand in this order in a scope
LETTERS = "cruds"
ADMIN = "admin"
#: The type of which a resource may name another that says who sees it: its securityContext.
BINARY = "Binary"
_READING, _MEETING = frozenset("rs"), frozenset("ruds")
_SCOPE = re.compile(r"system/(?P<type>\*|[A-Za-z]+)\.(?P<letters>[a-z*]+)(?:\?(?P<query>.+))?", re.ASCII)
_OF_PEOPLE = frozenset(
    {"patient", "user", "launch", "openid", "fhirUser", "profile", "offline_access", "online_access"})
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}


class ScopeError(ValueError):
    """A scope that cannot be granted as written."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One granted scope: a type (or *), letters, and the search that a resource must match (empty: any)."""

    type: str
    letters: frozenset[str]
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """The union of a client's scopes."""

    scopes: tuple[Scope, ...]
    admin: bool = False

    def queries(self, type_name: str, letter: str) -> tuple[tuple[tuple[str, str], ...], ...] | None:
        """Return the searches of which a resource must match one; None: no restriction; empty: nothing is allowed."""
        found = []
        for scope in self.scopes:
            if letter in scope.letters and scope.type in ("*", type_name):
                if not scope.query:
                    return None
                found.append(scope.query)
        return tuple(found)

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is hidden: a scope beyond creating covers every resource of every type."""
        return any(scope.type == "*" and not scope.query and scope.letters - {"c"} for scope in self.scopes)

    def covers_all(self, type_name: str, letter: str) -> bool:
        """Tell whether every resource of a type is covered, a Binary also by what its securityContext names."""
        return self.queries(type_name, letter) is None and (type_name != BINARY or self.meets_all(letter))

    def meets_all(self, letter: str) -> bool:
        """Tell whether a scope covers every resource of every type, so that whatever a securityContext names is seen.

        Who reads must be able to read that, who writes to meet it by any scope beyond creating.
        """
        letters = meeting(letter)
        return any(scope.type == "*" and not scope.query and scope.letters & letters for scope in self.scopes)

    def conditions(
        self, type_name: str, letters: frozenset[str] = frozenset(LETTERS)
    ) -> tuple[tuple[tuple[str, str], ...], ...] | None:
        """Return the searches of all scopes for a type with some letters; None: one has no condition; empty: none.

        What none of them covers, whatever it allows, is hidden from the token altogether.
        """
        its = [scope for scope in self.scopes if scope.type in ("*", type_name)]
        found = tuple(scope.query for scope in its if scope.letters & letters)
        return found if all(found) else None

    def only_creates(self, type_name: str) -> bool:
        """Tell whether no scope for a type meets what is stored of it."""
        return not any(scope.type in ("*", type_name) and scope.letters - {"c"} for scope in self.scopes)

    def types(self, letter: str) -> frozenset[str]:
        """Return the resource types for which `letter` is allowed at all."""
        allowed: set[str] = set()
        for scope in self.scopes:
            if letter in scope.letters:
                allowed |= RESOURCE_TYPES if scope.type == "*" else {scope.type}
        return frozenset(allowed)


def meeting(letter: str) -> frozenset[str]:
    """Return the letters of scopes by which what a securityContext names is met, to read a Binary or to write it."""
    return _READING if letter in _READING else _MEETING


def _instead(text: str) -> str:
    """Say what is written in place of a scope that cannot be granted."""
    context, _, rest = text.partition("/")
    if context not in _OF_PEOPLE:
        return "examples: system/*.cruds, system/Observation.rs, system/Observation.rs?category=laboratory, admin"
    told = "nobody signs in here, a token is of a client system"
    if context == "user" and rest:
        return f"{told}: system/{rest}"
    if context == "patient" and rest:
        rest = rest.replace("*", "[type]", 1) if rest.startswith("*") else rest
        whose = "_id" if rest.startswith("Patient.") else "patient"
        return f"{told}: system/{rest}{'&' if '?' in rest else '?'}{whose}=[id] is what concerns one patient"
    return told


@remembered_if_short(1_024)
def parse_scope(text: str) -> Scope:
    """Read one system scope, v2 (`system/Observation.rs?category=laboratory`) or v1 (`system/*.read`)."""
    match = _SCOPE.fullmatch(text)
    if match is None:
        raise ScopeError(f"Scope {text!r} is not understood; {_instead(text)}.")
    type_name, letters, query = match["type"], match["letters"], match["query"]
    if type_name != "*" and type_name not in RESOURCE_TYPES:
        raise ScopeError(f"Scope {text!r} names {type_name!r}, which is not a resource type of FHIR R4.")
    letters = _V1.get(letters, letters)
    if not letters or "".join(c for c in LETTERS if c in letters) != letters:
        raise ScopeError(f"Scope {text!r} must name some of the letters c, r, u, d, s, once each, in this order.")
    condition = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
    if query and not condition:  # a lone & must not read as no condition at all
        raise ScopeError(f"Scope {text!r} has a ? but no condition behind it.")
    return Scope(type_name, frozenset(letters), condition)


def parse_grant(scopes: Iterable[str]) -> Grant:
    """Read the scopes of a token; `admin` opens the administration API and nothing of the record."""
    wanted = [s for text in scopes for s in text.split()]
    if not wanted:
        raise ScopeError("A token needs at least one scope, for example system/*.rs.")
    return Grant(tuple(parse_scope(s) for s in wanted if s != ADMIN), ADMIN in wanted)


#: What the server itself may do when a job works on nobody's behalf.
FULL_GRANT = Grant((Scope("*", frozenset(LETTERS)),))
