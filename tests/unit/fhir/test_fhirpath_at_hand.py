"""References to what a resource contains, and to the entries of a Bundle, are resolved without looking at all of it.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir import fhirpath
from tests.growth import Work, growth

Json = dict[str, Any]


def _basics(number: int) -> list[Json]:
    return [{"resourceType": "Basic", "id": f"i{one}"} for one in range(number)]


def _containing(number: int) -> Json:
    rows = _basics(number)
    return {"resourceType": "List", "contained": rows,
            "entry": [{"item": {"reference": f"#{one['id']}"}} for one in rows]}  # fmt: skip


def _carrying(number: int) -> Json:
    rows = _basics(number)
    names = [name for one in rows[::2] for name in (f"urn:x:{one['id']}", f"Basic/{one['id']}")]
    return {"resourceType": "List", "entry": [
        *({"item": {"reference": one}} for one in names),
        *({"fullUrl": f"urn:x:{one['id']}", "resource": one} for one in rows)]}  # fmt: skip


def _bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}


@pytest.mark.parametrize(
    ("resource", "expression"),
    [
        (_containing, "entry.item.resolve().count()"), (_carrying, "entry.item.resolve().count()"),
        (_containing, "entry.item.where(resolve() is Basic).count()"),
        # `#id` in an entry of a Bundle means what that entry contains; of a text alone, what the first has that has it
        (lambda number: _bundle(_containing(number)), "entry.resource.entry.item.resolve().count()"),
        (lambda number: _bundle(*(
            {"resourceType": "QuestionnaireResponse", "questionnaire": f"#{one['id']}", "contained": [one]}
            for one in _basics(number))), "entry.resource.questionnaire.resolve().count()"),
    ],
    ids=["contained", "entries", "their types", "contained in an entry", "contained in each of the entries"],
)  # fmt: skip
def test_thousands_of_references_are_resolved_at_once(
    resource: Callable[[int], Json], expression: str
) -> None:
    """Looking at all for each took a minute for 10,000."""

    def resolved(number: int) -> Work:
        given = resource(number)
        compiled = fhirpath.compile(expression, given["resourceType"])

        def work() -> None:
            assert compiled.evaluate(given) == [number]

        return work

    assert growth(resolved, 100) < 5
