"""FHIR capabilities interaction: https://hl7.org/fhir/R4/http.html#capabilities"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

from hie import __version__
from hie.context import Context
from hie.errors import InvalidRequest
from hie.fhir import json_format, search_parameters
from hie.fhir.capability import capability_statement
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.search_parameters import SearchParameter
from hie.fhir.terminology.capability import terminology_capabilities
from hie.interactions import answers
from hie.registry import Operation, Registry


def capabilities(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the CapabilityStatement."""
    mode = request.once("mode")
    if mode == "terminology":
        started = _started(ctx.registry, ctx.clock())
        told = _terminology(ctx.base_url, started, ctx.profiles.library().systems_with_codes())
        return _if_changed(request, told, started)
    if mode not in (None, "full", "normative"):
        raise InvalidRequest(f"mode is {mode[:80]!r}; it must be full, normative or terminology.", expression="mode")
    return _if_changed(request, statement(ctx), _started(ctx.registry, ctx.clock()))


def statement(ctx: Context) -> bytes:
    """Return this server's own CapabilityStatement."""
    started, cors = _started(ctx.registry, ctx.clock()), bool(ctx.settings.cors_origins)
    known, profiles = search_parameters.installed(), ctx.profiles.supported()
    content, enforced = ctx.settings.content_search, ctx.settings.referential_integrity == "both"
    published = _Published(ctx.profiles.statements())
    return _statement(ctx.base_url, ctx.registry.operations, started, cors, content, known, profiles, enforced,
                      published)


def _if_changed(request: FhirRequest, content: bytes, started: int) -> FhirResponse:
    """Return a statement with the ETag of what it says, or 304 where the client has that."""
    return answers.if_other(request, content, _tag(content, started))


@lru_cache(maxsize=8)
def _tag(content: bytes, started: int) -> str:
    """Return the tag of a statement but for its date, which each process of a server has its own of."""
    return blake2b(content.replace(instant(started).encode(), b""), digest_size=8).hexdigest()


Supported = tuple[tuple[str, tuple[str, ...]], ...]
"""The profiles of each type, as a value that can be compared."""


class _Published:
    """What packages say that servers have to do; the same as long as it is read from what is installed once."""

    def __init__(self, statements: tuple[dict[str, Any], ...]) -> None:
        self.statements = statements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Published) and other.statements is self.statements

    def __hash__(self) -> int:
        return id(self.statements)


@lru_cache(maxsize=8)
def _statement(
    base_url: str, operations: tuple[Operation, ...], at: int, cors: bool, content_search: bool, _custom: object,
    profiles: Supported, enforced: bool, published: _Published,
) -> bytes:  # fmt: skip
    return json_format.dump(capability_statement(
        base_url=base_url, version=__version__, at=at, operations=operations,
        parameters_of=partial(offered_parameters, content_search), cors=cors, profiles=dict(profiles),
        enforced=enforced, published=published.statements,
    ))


@lru_cache(maxsize=8)
def _terminology(base_url: str, at: int, installed: tuple[tuple[str, str | None], ...]) -> bytes:
    return json_format.dump(
        terminology_capabilities(base_url=base_url, version=__version__, at=at, installed=installed))


#: When each registry was first described: the date of its statement.
_started_at: dict[int, int] = {}


def _started(registry: Registry, now: int) -> int:
    return _started_at.setdefault(id(registry), now)


def offered_parameters(content_search: bool, type_name: str) -> Mapping[str, SearchParameter]:
    """Return the search parameters of a type that the search engine answers."""
    known = search_parameters.for_type(type_name).items()
    special = ("_text", "_content", "_filter", "near") if content_search else ("_text", "_filter", "near")
    return {code: one for code, one in known if code in special or (one.is_searchable and not one.is_special)}
