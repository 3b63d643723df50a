"""What one patch may take, of whichever format: on SQLite other writers wait while it is applied."""

from __future__ import annotations

from hie.errors import TooCostly
from hie.fhir.fhirpath import Allowance, Watch

MOST_OPERATIONS = 10_000
#: Values that a patch in JSON may bring or copy: each "copy" could double the resource.
MOST_VALUES = 200_000
#: What its paths may look at, and what it may copy and move aside, together.
MOST_LOOKED_AT = 500_000
MOST_SECONDS = 3.0
#: Characters of a text that grows, and elements of an array that move aside, that count as one that is looked at.
AT_ONCE = 1_000
#: Characters of a text that is copied, which will be stored once more, that do so.
CHARACTERS = 100


def watched(allowance: Allowance | None) -> Watch:
    """Begin to count what a patch does; `allowance` is what may be done altogether where others go before."""
    return Watch(MOST_SECONDS, MOST_LOOKED_AT, allowance=allowance)


def too_costly(told: str, allowance: Allowance | None, expression: str | None = None) -> TooCostly:
    """Build the refusal of an operation at which too much was done."""
    together = "" if allowance is None else ", with what goes before in the transaction,"
    return TooCostly(f"{told}: the patch{together} looks at more than {MOST_LOOKED_AT} elements, values and nodes, or "
                     f"for longer than {MOST_SECONDS:g} s; send fewer operations at a time. Nothing was changed.",
                     expression=expression)
