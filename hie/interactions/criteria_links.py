"""Criteria that name other entries of a transaction by their fullUrl, as in `ifNoneExist: subject=urn:uuid:…`.

https://hl7.org/fhir/R4/http.html#trules has fullUrls replaced in references; criteria that go by such a reference mean
the same resource, or they would never match what the transaction itself stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hie.errors import InvalidRequest
from hie.fhir import facts
from hie.fhir.search_parameters import for_type
from hie.interactions.steps import KEEPS, Criteria, Step, in_request
from hie.store.search.chain import MOST_HOPS
from hie.store.search.syntax import split


def meant(type_name: str | None, criteria: Criteria, full_urls: Mapping[str, str]) -> Criteria:
    """Return the criteria with Type/id in the place of each fullUrl that stands where a reference does."""
    if not full_urls or not any(_said(value, full_urls) for _, value in criteria):
        return criteria
    return tuple((name, _replaced(value, full_urls) if _is_reference(type_name, name) else value)
                 for name, value in criteria)


def _said(value: str, full_urls: Mapping[str, object]) -> list[str]:
    return [one for one in split(value, ",") if one in full_urls]


def _replaced(value: str, full_urls: Mapping[str, str]) -> str:
    return ",".join(full_urls.get(one, one) for one in split(value, ","))


def _is_reference(type_name: str | None, name: str) -> bool:
    """Tell whether values of a criterion are references, along a chain and through `_has` as well.

    Those of tokens stay: an identifier that is written like a fullUrl is a string, which no transaction rewrites.
    """
    types = {type_name or "Resource"}
    for _ in range(MOST_HOPS + 1):  # the search refuses a longer one
        if name.startswith("_has:"):
            _, source, _, name = (*name.split(":", 3), "", "", "")[:4]
            types = {source}
            continue
        head, is_chain, rest = name.partition(".")
        if not is_chain:
            code, _, modifier = head.partition(":")
            is_plain = modifier in ("", "not") or modifier in facts.RESOURCE_TYPES
            return is_plain and any(_kind(one, code) == "reference" for one in types)
        types, name = set(_targets(types, head)), rest
    return False


def _targets(types: set[str], link: str) -> Iterator[str]:
    code, _, modifier = link.partition(":")
    for one in types:
        if _kind(one, code) == "reference":
            yield from (modifier,) if modifier else for_type(one)[code].targets or facts.RESOURCE_TYPES


def _kind(type_name: str, code: str) -> str:
    if type_name != "Resource" and type_name not in facts.RESOURCE_TYPES:
        return ""
    parameter = for_type(type_name).get(code)
    return parameter.type if parameter is not None else ""


class Named:
    """The entries of a transaction that criteria may name, by their fullUrls."""

    def __init__(self, steps: list[Step]) -> None:
        self._by_url = {step.entry.full_url: step for step in steps
                        if step.entry.full_url is not None and step.request.interaction in KEEPS}

    def in_order(self, steps: list[Step]) -> list[Step]:
        """Return the conditional ones, each behind those that its criteria name and that must be found before it."""
        order: list[Step] = []
        done: set[int] = set()
        for step in steps:
            if step.is_conditional and step.entry.index not in done:
                self._put_behind(step, order, done)
        return order

    def _put_behind(self, first: Step, order: list[Step], done: set[int]) -> None:
        way = [(first, self._conditional_in(first))]  # no recursion: thousands may name one another in a row
        under_way = {first.entry.index}
        while way:
            step, named = way[-1]
            following = next((one for one in named if one.entry.index not in done), None)
            if following is None:
                way.pop()
                under_way.remove(step.entry.index)
                done.add(step.entry.index)
                order.append(step)
            elif following.entry.index in under_way:
                with in_request(step):
                    raise _circle(step, following)
            else:
                under_way.add(following.entry.index)
                way.append((following, self._conditional_in(following)))

    def _conditional_in(self, step: Step) -> Iterator[Step]:
        return iter([one for one in self._in(step) if one.is_conditional])

    def _in(self, step: Step) -> list[Step]:
        return [self._by_url[url] for name, value in step.asked for url in _said(value, self._by_url)
                if _is_reference(step.request.type, name)]

    def known(self, ids: Mapping[int, str]) -> dict[str, str]:
        """Map fullUrls to Type/id, as far as the ids are known; `ids` are those that conditional ones have."""
        found: dict[str, str] = {}
        for url, step in self._by_url.items():
            id_ = ids.get(step.entry.index) if step.is_conditional else step.new_id or step.request.id
            if id_ is not None:
                found[url] = f"{step.request.type}/{id_}"
        return found

    def before_all(self, step: Step) -> dict[str, str]:
        """Map what the criteria of a deletion name, which is found before all else: what has its id already."""
        found: dict[str, str] = {}
        for other in self._in(step):
            url = other.entry.full_url or ""
            if other.request.interaction == "create" or other.is_conditional:
                raise InvalidRequest(f"The criteria of the deletion name {url[:200]}, the fullUrl of {other.expression}"
                                     ": deletions come before all else of a transaction, when it is not known yet "
                                     "which resource that is.", expression="http.url")
            found[url] = f"{other.request.type}/{other.request.id}"
        return found


def _circle(step: Step, other: Step) -> InvalidRequest:
    place = "http.If-None-Exist" if step.criteria else "http.url"
    if step is other:
        return InvalidRequest(f"The criteria name the fullUrl of their own entry, {step.expression}, which they are to "
                              "find: it cannot name itself.", expression=place)
    return InvalidRequest(f"The criteria of {step.expression} and {other.expression} name each other's fullUrls: "
                          "neither can be found before the other.", expression=place)
