"""Which code system a code is of, by the value set alone.

`inferSystem` of https://hl7.org/fhir/R5/valueset-operation-validate-code.html
"""

from __future__ import annotations

from typing import NamedTuple

from hie.fhir.terminology.value_set import ValueSet


class Inferred(NamedTuple):
    """The code systems of a value set that have a code in it, and those of which that cannot be told."""

    found: list[str]
    undecided: list[str]


def inferred(value_set: ValueSet, code: str) -> Inferred:
    """Ask a value set for a code of each code system that it may have codes of."""
    answers = {url: value_set.has(url, code) for url in dict.fromkeys(value_set.named_systems())}
    return Inferred([url for url, has in answers.items() if has], [url for url, has in answers.items() if has is None])
