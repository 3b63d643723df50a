"""The components of a composite SearchParameter: https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.component

Each names by `definition` the parameter that says what it is compared as, and by `expression` where its value lies in
the element that the composite's own expression leads to. What cannot be indexed is refused with the component's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hie.errors import FhirError, NotSupported, Unprocessable
from hie.fhir import personal_dates, search_parameters
from hie.fhir.fhirpath import FhirPathError
from hie.fhir.fhirpath.paths import Route, routes
from hie.fhir.search_parameters import Component

#: What a component can be compared as: the types of which R4's own composites are made, and the remaining simple ones.
KINDS = frozenset({"number", "date", "string", "token", "reference", "quantity", "uri"})
#: A resource is indexed by every combination of the values of one element.
FEWEST, MOST = 2, 3
_R4 = "4.0.1"

Defined = Mapping[str, Component]
"""What parameters defined here are compared as, by their canonical URL."""


def components_of(resource: dict[str, Any], defined: Defined) -> tuple[Component, ...]:
    """Return a composite's components; Unprocessable and NotSupported name the one that is wrong."""
    found = resource.get("component", ())
    if not FEWEST <= len(found) <= MOST:
        raise Unprocessable(f"An active composite search parameter has {FEWEST} or {MOST} components; this one has "
                            f"{len(found)}.", expression="SearchParameter.component")
    return tuple(_component(number, one, defined) for number, one in enumerate(found))


def _component(number: int, one: dict[str, Any], defined: Defined) -> Component:
    url, _, version = str(one.get("definition", "")).partition("|")
    known = _own(url) if version in ("", _R4) else None
    if known is None and not version:
        known = defined.get(url)
    if known is None:
        raise _invalid(number, "definition", f"{one.get('definition')!s:.200} is no search parameter of FHIR "
                       f"{_R4} and none that an active SearchParameter here defines (those are named "
                       "without a version).")
    if known.type not in KINDS:
        raise NotSupported(f"Component {number + 1}: {url:.200} is of type {known.type}; components are of type "
                           f"{', '.join(sorted(KINDS))}.", expression=_place(number, "definition"))
    return Component(known.code, known.type, str(one.get("expression") or ""), known.targets)


def _own(url: str) -> Component | None:
    """Return what one of R4's own parameters is compared as; None: there is none of the URL."""
    row = search_parameters.own_row(url)
    if row is None:
        return None
    targets = frozenset(row.get("target", ())) if row["type"] == "reference" else frozenset[str]()
    return Component(row["code"], row["type"], "", targets)


# ---- where they lie --------------------------------------------------------------------------------------------------


def check(base: str, expression: str, components: tuple[Component, ...]) -> None:
    """See that every component has comparable values in each element that a composite's expression leads to."""
    try:
        elements = routes(expression, base)
    except (FhirPathError, ValueError) as error:
        raise _unusable(base, str(error)) from error
    if elements is None:
        raise _unusable(base, "that of a composite is a path, or several with | between them")
    if not elements:
        raise _unusable(base, f"it leads to no element of {base}")
    for element in elements:
        if element.type[0].islower() or element.type.startswith("System."):
            raise _unusable(base, f"it leads to {element.type}, which has no parts that components could be")
        for number, one in enumerate(components):
            _check_one(number, one, base, element)


def _check_one(number: int, one: Component, base: str, element: Route) -> None:
    def refused(reason: str) -> FhirError:
        return _invalid(number, "expression", f"{one.expression:.200} cannot be used in {element.type} of {base}: "
                                              f"{reason:.500}.")

    try:
        found = routes(one.expression, element.type)
    except (FhirPathError, ValueError) as error:
        raise refused(str(error)) from error
    if found is None:
        raise refused("it is a path, or several with | between them")
    if not found:
        raise refused("it leads to no element")
    if len({way.from_resource for way in found}) > 1:
        raise refused("either all of its paths begin with %resource or none")
    if found[0].from_resource and element.type.partition(".")[0] != base:
        raise refused("%resource can be named only where the composite's expression leads to the resource itself or "
                      "to elements that the resource type defines")
    if not any(search_parameters.is_comparable(one.type, way.type) for way in found):
        types = ", ".join(sorted({way.type for way in found}))
        raise refused(f"it leads to {types:.200}, which no {one.type} search compares")
    if one.type in personal_dates.IN_CLEAR and personal_dates.passed((element, *found)):
        raise refused("dates of birth and death are searched by birthdate and death-date only: any other parameter "
                      "would keep them readable in the index")


def each_expression(components: tuple[Component, ...], check_text: Callable[[str, str], None]) -> None:
    """Give the text of every component's expression, and its place, to what judges texts."""
    for number, one in enumerate(components):
        check_text(one.expression, _element(number, "expression"))


def _element(number: int, name: str) -> str:
    return f"component[{number}].{name}"


def _place(number: int, name: str) -> str:
    return f"SearchParameter.{_element(number, name)}"


def _invalid(number: int, name: str, told: str) -> FhirError:
    return Unprocessable(f"Component {number + 1}: {told}", expression=_place(number, name))


def _unusable(base: str, reason: str) -> FhirError:
    return Unprocessable(f"The expression cannot be used for {base}: {reason[:500]}.",
                         expression="SearchParameter.expression")
