"""Regular expressions that anybody may have written, for an engine that stops when its time is over.

The time bounds the matching alone. The engine writes out what a group is repeated at least, and what groups around it
are: `(?:(?:a{999}){999}){999}` would take all memory of the machine before anything is matched.
"""

from __future__ import annotations

import re
from typing import Any

#: Characters and groups that may be written out, about 260 bytes each.
MOST_WRITTEN_OUT = 50_000
_COUNT = re.compile(r"(.?)\{([0-9]+)", re.DOTALL)
#: White space and comments between what belongs together (`(?x)`), of which FHIR's expressions have none.
_VERBOSE = re.compile(r"\(\?[A-Za-z0-9-]*x")
#: A group within itself, or called from elsewhere: a second of that keeps 800 MB of where to go back to.
_RECURSIVE = re.compile(r"\(\?(?:R|[+-]?[0-9]|&|P>)")


def compiled(expression: str) -> Any:
    """Compile an expression whose methods take a `timeout`; ValueError says why it is none, or too costly."""
    if _VERBOSE.search(expression):
        raise ValueError("white space that means nothing, (?x), is not supported.")
    if _RECURSIVE.search(expression):
        raise ValueError("recursion, such as (?R) or (?&name), is not supported.")
    if written_out(expression) > MOST_WRITTEN_OUT:
        raise ValueError(f"what it repeats has more than {MOST_WRITTEN_OUT} parts when it is written out.")
    import regex  # costs 15 ms, and little needs it

    try:
        return regex.compile(expression, regex.DOTALL)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{error}.") from None


def written_out(expression: str) -> int:
    """Give at least as many parts as the engine writes out: groups may stand in one another, all else side by side."""
    of_groups, beside = 1, len(expression)
    for match in _COUNT.finditer(expression):
        count = int(match[2][:9])
        if match[1] in (")", "}", "?", "+", "*", ""):
            of_groups *= max(count, 1)
        else:
            beside += count
    return of_groups * beside
