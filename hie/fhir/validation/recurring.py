"""Values that come again in resource after resource, and were found valid before: codes with their systems and texts.

To write one down and to look for it takes a sixth of checking it; https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
"""

from __future__ import annotations

from typing import Any

import orjson

from hie.fhir.validation.issue import Check, Problem
from hie.fhir.validation.scope import Scope

#: Types of which a store has few different values, and which say the same wherever they stand.
TYPES = frozenset({"CodeableConcept", "Coding"})
#: So many of a type are known, of so many bytes each at most: 1 MB in all.
_MOST, _LONGEST = 4_096, 400


def remembering(whole: Check) -> Check:
    """Return the check of a type's values, which passes those that it found valid before."""
    known: set[bytes] = set()

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        try:
            written = orjson.dumps(value)
        except TypeError:  # decimals, half characters: it has to be looked at
            return whole(value, parent, scope)
        if written in known:
            return None
        found = whole(value, parent, scope)
        if not found and scope.invariants and len(written) <= _LONGEST and _says_the_same_everywhere(written):
            if len(known) >= _MOST:
                known.clear()
            known.add(written)
        return found

    return check


def _says_the_same_everywhere(written: bytes) -> bool:
    """Tell whether no part depends on the resource around it, as extensions and links to what it contains do."""
    return b'"extension"' not in written and b'"#' not in written
