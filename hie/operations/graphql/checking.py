"""Whether what a query selects can be there at all, whatever the data are: asked before anything is read.

https://spec.graphql.org/October2021/#sec-Validation.Fields. Below what is absent nothing is selected at run time, so
that a misspelt field would be answered by silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from hie.errors import InvalidRequest
from hie.fhir import facts, search_parameters
from hie.fhir.fhirpath import model
from hie.fhir.paging import CURSOR
from hie.operations.graphql.document import BUILT_IN, Field, On, Selection
from hie.store.search import chain, criteria

#: Of what stands there the type is only known when it is met.
_ANY = frozenset({"Resource", "DomainResource"})
#: Arguments of every list.
_CHOOSING = frozenset({"fhirpath", "_offset", "_count"})
#: Behind the name of a resource type: what searches and mutations give.
_MADE = ("Connection", "Edge", "Creation", "Update", "Delete")


def check(type_name: str, selections: Sequence[Selection]) -> None:
    """Refuse fields that nothing of a type has, at every depth."""
    if type_name in _ANY:
        for name in dict.fromkeys(_named(selections)):
            check(name, selections)
        return
    for one in merged(type_name, selections):
        _check_field(type_name, one)


def _check_field(type_name: str, one: Field) -> None:
    referring, kind = searched(one.name)
    if one.name == "__typename":
        check_plain(one)
        return
    if one.name == "resource" and type_name == "Reference":
        refuse_slice(one)
        check(check_resource(one) or "Resource", one.selections)
    elif referring is not None and type_name in facts.RESOURCE_TYPES:
        check_refers(one, referring)
        check_found(one, referring, kind)
    else:
        form, _, plain = element(type_name, one)
        if not plain:
            check(form, one.selections)


def check_resource(one: Field) -> str | None:
    """Refuse what `resource` of a Reference is not asked with, and return the type that it is asked for."""
    check_arguments(one, "optional", "type")
    if one.arguments.get("optional") not in (None, True, False, "true", "false"):
        raise invalid("The argument optional of resource is true or false.")
    only = one.arguments.get("type")
    if only is not None and (not isinstance(only, str) or only not in facts.RESOURCE_TYPES):
        raise invalid(f"The argument type of resource is {str(only)[:80]!r}; it names one resource type of R4.")
    return only


def _check_chosen(one: Field, form: str) -> None:
    """Refuse arguments of a list that choose none of its items: graphql.html#list"""
    plain = choosing(form)
    wrong = next((name for name in one.arguments if name not in _CHOOSING and name not in plain), None)
    if wrong is None:
        return
    own = f", and of plain elements {', '.join(sorted(plain))}" if plain else ""
    why = "is a list, or has elements of its own" if wrong in properties(form) else "is none of its elements"
    raise invalid(f"{one.name} takes fhirpath, _offset, _count{own}; {wrong[:80]} of {one.name} {why}.")


@cache
def choosing(form: str) -> frozenset[str]:
    """Return the elements of a type by whose value items are chosen: those that have one plain value."""
    return frozenset(name for name, (kind, is_list) in properties(form).items() if not is_list and is_plain(kind))


def is_plain(form: str) -> bool:
    """Tell whether values of a type are plain, without fields."""
    return model.is_primitive(form) or form.startswith("System.") or form == "xhtml"


def check_found(one: Field, type_name: str, kind: str) -> None:
    """Refuse fields that what a search finds has not."""
    if kind == "List":
        check(type_name, one.selections)
        return
    for part in merged(one.name, one.selections):
        if part.name != "edges":
            check_plain(part)
            continue
        check_arguments(part)
        for edge in merged(f"{type_name}Edge", part.selections):
            if edge.name == "resource":
                check_arguments(edge)
                check(type_name, edge.selections)
            else:
                check_plain(edge)


def check_plain(one: Field, *arguments: str) -> None:
    """Refuse arguments, and FHIR's directives, at a field that is no element: they would be passed over."""
    wrong = next((name for name in one.directives if name not in BUILT_IN), None)
    if wrong is not None:
        raise invalid(f"@{wrong} stands at {one.name[:80]}, which is no element of a resource; only @skip and @include "
                      "can stand there.")
    check_arguments(one, *arguments)


def refuse_slice(one: Field) -> None:
    """Refuse @slice at what is no element of its parent."""
    if "slice" in one.directives:
        raise invalid(f"@slice stands at {one.name}; it is for elements.")


def check_arguments(one: Field, *arguments: str) -> None:
    """Refuse arguments that a field does not have."""
    unknown = next((name for name in one.arguments if name not in arguments), None)
    if unknown is not None:
        told = f"{' and '.join(arguments)} alone, not {unknown[:80]}" if arguments else "no arguments"
        raise invalid(f"{one.name[:80]} takes {told}.")


def check_refers(one: Field, type_name: str) -> str:
    """Return the parameter that _reference names; refuse what leads to no resource by its Type/id."""
    name = one.arguments.get("_reference")
    if not isinstance(name, str):
        raise invalid(f"{one.name} inside of a resource needs _reference: the search parameter that refers to it.")
    if CURSOR in one.arguments:
        raise invalid(f"_cursor of {one.name} leads on at the root, by {type_name}Connection(_cursor: …) without more.")
    code = parameter_name(name)
    known = search_parameters.for_type(type_name)
    if code not in known:
        criteria.parameter_of(type_name, code)  # which says what there is
    elif not chain.is_chained(known[code]):
        raise invalid(f"_reference names {code[:80]}, which leads to no resource here by its type and id; of "
                      f"{type_name} it may be one of {', '.join(_referring_codes(type_name))}.")
    return code


def parameter_name(name: str) -> str:
    """GraphQL names have no hyphens: value_quantity is value-quantity; _id keeps its first mark."""
    return name[:1] + name[1:].replace("_", "-")


def _referring_codes(type_name: str) -> list[str]:
    known = search_parameters.for_type(type_name).items()
    return sorted(code.replace("-", "_") for code, one in known if chain.is_chained(one))


def _named(selections: Iterable[Selection]) -> Iterator[str]:
    """Yield the resource types that fragments are on."""
    for one in selections:
        if isinstance(one, On):
            if one.type in facts.RESOURCE_TYPES:
                yield str(one.type)
            yield from _named(one.selections)


def element(type_name: str, one: Field) -> tuple[str, bool, bool]:
    """Return the type of an element, whether it is a list, and whether a plain value that has no fields."""
    known = properties(type_name).get(one.name)
    if known is None:
        raise invalid(f"{type_name} has no element {one.name[:80]}.")
    form, is_list = known
    plain = is_plain(form)
    if plain == bool(one.selections):
        told = "is a plain value and has no fields" if plain else "has fields, some of which must be selected"
        raise invalid(f"{type_name}.{one.name} {told}.")
    if one.arguments:
        if not is_list:
            raise invalid(f"{one.name} is no list, so it takes no arguments.")
        _check_chosen(one, form)
    return form, is_list, plain


@cache
def properties(type_name: str) -> dict[str, tuple[str, bool]]:
    """Give the JSON properties of a type: each one's type, and whether it is a list."""
    found: dict[str, tuple[str, bool]] = {}
    for child in model.children(type_name).values():
        for name, form in child.forms:
            found[name] = (form, child.is_list)
            if model.is_primitive(form):
                found[f"_{name}"] = ("Element", child.is_list)
    if model.is_resource(type_name):
        found["resourceType"] = ("code", False)
    return found


def merged(type_name: str, selections: Sequence[Selection]) -> list[Field]:
    """Return the fields that are meant for a type, those of one key together; GraphQL section 5.3.2"""
    found: dict[str, Field] = {}
    for one in _meant(type_name, selections):
        before = found.get(one.key)
        if before is None:
            found[one.key] = one
        elif before.name != one.name or before.directives != one.directives or not before.written.is_like(one.written):
            raise invalid(f"{one.key[:80]} is asked for twice with different meanings; give one of them an alias.")
        else:
            found[one.key] = replace(before, selections=(*before.selections, *one.selections))
    return list(found.values())


def _meant(type_name: str, selections: Sequence[Selection]) -> Iterable[Field]:
    for one in selections:
        if isinstance(one, Field):
            yield one
        elif one.type is None or model.is_a(type_name, one.type) or one.type in (type_name, name_of(type_name)):
            yield from _meant(type_name, one.selections)
        elif not _is_known(one.type):
            raise invalid(f"There is no type {one.type[:80]} that a fragment could be on.")


@lru_cache(maxsize=facts.NAMES_KEPT)
def _is_known(name: str) -> bool:
    """Tell whether the schema has a type of this name that has fields."""
    if name.startswith("__") or name in ("Query", "Mutation"):
        return True
    if model.is_type(name):
        return not is_plain(name)
    made = any(name.endswith(end) and name.removesuffix(end) in facts.RESOURCE_TYPES for end in _MADE)
    return made or any(name.startswith(one) and _has_inside(one, name)
                       for one in (*facts.RESOURCE_TYPES, *facts.DATA_TYPES))


def _has_inside(type_name: str, name: str) -> bool:
    """Tell whether a type has, at whatever depth, elements with elements of their own of this name."""
    forms = {form for form, _ in properties(type_name).values() if form.startswith(f"{type_name}.")}
    return any(name == name_of(form) or (name.startswith(name_of(form)) and _has_inside(form, name)) for form in forms)


def name_of(type_name: str) -> str:
    """Name a type in GraphQL, which has no dots: Patient.contact is PatientContact."""
    return "".join(part[:1].upper() + part[1:] for part in type_name.split(".")) if "." in type_name else type_name


def searched(name: str) -> tuple[str | None, str]:
    """Take PatientList and PatientConnection apart."""
    for kind in ("List", "Connection"):
        type_name = name.removesuffix(kind)
        if type_name != name and type_name in facts.RESOURCE_TYPES:
            return type_name, kind
    return None, ""


def invalid(told: str) -> InvalidRequest:
    """Build the refusal of a query."""
    return InvalidRequest(told, expression="query")
