"""A SearchParameter resource -> the search parameters that it defines: https://hl7.org/fhir/R4/searchparameter.html

Only an active one defines any. One that repeats a parameter of R4 (its own definition, or a profile's copy) defines
nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

from hie.errors import FhirError, NotSupported, Unprocessable
from hie.fhir import custom_components, facts, modifiers, personal_dates, search_parameters
from hie.fhir.fhirpath import FhirPathError, compile_tree, model
from hie.fhir.fhirpath import compile as compile_expression
from hie.fhir.fhirpath.paths import Route, routes
from hie.fhir.search_parameters import Component, SearchParameter

KINDS = frozenset({*custom_components.KINDS, "composite"})
LONGEST_EXPRESSION = 2_000
#: `_language` is R5's parameter of every resource; what else begins so is the specification's, or this server's.
_CODE = re.compile(r"_language|[A-Za-z][A-Za-z0-9\-_]{0,63}", re.ASCII)
#: What could take very long on somebody's resource, and that within their write.
_COSTLY = re.compile(r"\b(matches|matchesFull|replaceMatches|repeat|aggregate)\s*\(")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a SearchParameter defines, and nothing else of it: as long as this is the same, the index is."""

    url: str
    code: str
    kind: str
    expression: str
    bases: tuple[str, ...]
    targets: tuple[str, ...]
    components: tuple[Component, ...] = ()

    def json(self) -> dict[str, Any]:
        """Return the plain form that is stored; of components what they are compared as when this is written."""
        plain = asdict(self)
        if not self.components:  # as it was before there were composite ones
            del plain["components"]
        for part in plain.get("components", ()):
            part["targets"] = sorted(part["targets"])
        return plain

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Definition:
        """Return what `json` gave."""
        parts = tuple(Component(**{**part, "targets": frozenset(part["targets"])})
                      for part in value.get("components", ()))
        return cls(**{**value, "bases": tuple(value["bases"]), "targets": tuple(value["targets"]), "components": parts})

    def component(self) -> Component:
        """Return what a component that names this parameter is compared as."""
        return Component(self.code, self.kind, "", frozenset(self.targets))

    def parameters(self, state: str) -> list[SearchParameter]:
        """Return the parameter of each base type."""
        targets = frozenset(self.targets)
        return [search_parameters.define(
                    base, self.code, self.kind, self.expression, targets, self.url, state, self.components)
                for base in self.bases]  # fmt: skip


def is_composite(resource: dict[str, Any] | None) -> bool:
    """Tell whether a resource may define a composite parameter, which others must be known for."""
    return resource is not None and resource.get("status") == "active" and resource.get("type") == "composite"


def definition(resource: dict[str, Any], others: Mapping[str, Definition] | None = None) -> Definition | None:
    """Return what a valid SearchParameter defines; None: nothing. Unprocessable or NotSupported says why it cannot.

    `others`: what is defined here by canonical URL, which the components of a composite may name.
    """
    if resource.get("status") != "active" or resource.get("url") in _own_urls():
        return None
    modifiers.refuse_definition(resource)
    found = Definition(
        str(resource["url"]), str(resource["code"]), str(resource["type"]), str(resource.get("expression") or ""),
        _bases(resource["base"]), _targets(resource), _components(resource, others or {}),
    )  # fmt: skip
    _check(found)
    model = str(resource.get("derivedFrom", "")).partition("|")[0]
    new = tuple(base for base in found.bases if not _is_repetition(found, base, model))
    if not new:
        return None
    if resource.get("xpathUsage", "normal") != "normal":
        raise NotSupported(f"An active search parameter whose xpathUsage is {str(resource['xpathUsage'])[:20]} is not "
                           "supported: values are compared as they are (normal), by no phonetic or spatial transform. "
                           "It can be stored as a draft.", expression="SearchParameter.xpathUsage")
    if _CODE.fullmatch(found.code) is None:
        raise _invalid("code", f"The code {found.code[:80]!r} cannot stand in a search; it begins with a letter and "
                               "has letters, digits, - and _, 64 at most.")
    return replace(found, bases=new)


@cache
def _own_urls() -> frozenset[str]:
    return frozenset(row["url"] for row in facts.SEARCH_PARAMETERS)


def _bases(named: Sequence[str]) -> tuple[str, ...]:
    """Return the types that are meant: of what several types are (Resource, DomainResource) each of these."""
    found = (sorted(type_ for type_ in facts.RESOURCE_TYPES if model.is_a(type_, one)) for one in named)
    return tuple(dict.fromkeys(chain.from_iterable(found)))


def _targets(resource: dict[str, Any]) -> tuple[str, ...]:
    if resource["type"] != "reference":
        return ()
    named = [one for one in resource.get("target", ()) if one in facts.RESOURCE_TYPES]
    return tuple(sorted(named or facts.RESOURCE_TYPES))


def _components(resource: dict[str, Any], others: Mapping[str, Definition]) -> tuple[Component, ...]:
    if resource["type"] != "composite":
        return ()
    return custom_components.components_of(resource, {url: one.component() for url, one in others.items()})


def _check(found: Definition) -> None:
    if found.kind not in KINDS:
        raise NotSupported(f"An active search parameter of type {found.kind} is not supported; supported are "
                           f"{', '.join(sorted(KINDS))}. It can be stored as a draft.",
                           expression="SearchParameter.type")
    _check_text(found.expression, "expression")
    custom_components.each_expression(found.components, _check_text)


def _check_text(expression: str, element: str) -> None:
    if not expression:
        raise _invalid(element, "An active search parameter needs an expression.")
    if len(expression) > LONGEST_EXPRESSION:
        raise _invalid(element, f"The expression is longer than {LONGEST_EXPRESSION} characters.")
    costly = _COSTLY.search(expression)
    if costly is not None:
        raise _invalid(element, f"The function {costly[1]} is not accepted in search parameters: it could hold up "
                                "every write.")


def _is_repetition(found: Definition, base: str, model: str) -> bool:
    """Tell whether the parameter is R4's own of this type, or a profile's word on that; another meaning is refused."""
    own = search_parameters.for_type(base).get(found.code)
    if own is not None and not own.state and own.url == model:
        return True
    parameter = _defined(found, base)
    if own is None or own.state:
        return False
    if not search_parameters.same(own, parameter):
        raise _invalid("code", f"{base} has the search parameter {found.code} of FHIR R4, which finds something else "
                               f"({str(own.expression)[:200]}); choose another code, or say derivedFrom {own.url}.")
    return True


def _defined(found: Definition, base: str) -> SearchParameter:
    if found.components:
        custom_components.check(base, found.expression, found.components)
    try:
        parameter = search_parameters.define(
            base, found.code, found.kind, found.expression, frozenset(found.targets), found.url, "indexing",
            found.components,
        )
        ways = routes(found.expression, base)
        _check_names(found.expression, base, ways)
    except (FhirPathError, ValueError) as error:
        raise _invalid("expression", f"The expression cannot be used for {base}: {str(error)[:500]}.") from error
    personal = personal_dates.named(found.expression) if ways is None else personal_dates.passed(ways)
    if personal and found.kind in personal_dates.IN_CLEAR:
        raise _invalid("expression", "Dates of birth and death are searched by birthdate and death-date only: any "
                                     "other parameter would keep them readable in the index. This expression leads "
                                     "to them, or may.")
    return parameter


def _check_names(expression: str, base: str, ways: Sequence[Route] | None) -> None:
    """Refuse names of what no element has, in conditions and in what is computed: it would find nothing, ever."""
    if ways is None:
        compile_expression(expression, base, strict=True)
    for hop in {hop for way in ways or () for hop in way.hops}:
        if hop.criteria is not None:
            compile_tree(hop.criteria, hop.owner, strict=True)


def _invalid(element: str, told: str) -> FhirError:
    return Unprocessable(told, expression=f"SearchParameter.{element}")
