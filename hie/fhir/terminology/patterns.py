"""Regular expressions that come from data, of those only that cannot run away: https://hl7.org/fhir/R4/valueset-filter-operator.html

A text that does not fit is tried in as many ways as the repetitions and alternatives of the expression multiply to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from hie.errors import NotSupported

#: Longer texts are matched by no regular expression.
MOST_MATCHED = 100
_MOST_CHARACTERS = 200
_MOST_WAYS = 100_000
#: What a match costs at least, in concepts that are looked at (Terminology.spend), and how many ways one more costs.
_LEAST_COST, _WAYS_OF_COST = 100, 50
#: A repeated group that holds a repetition or a choice can take exponential time.
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{\d)")
#: What multiplies the ways: groups and their alternatives, and repetitions, be they lazy or possessive.
_CHOICE = re.compile(r"[(|)]|[*+?][?+]?|\{(\d*)(,?)(\d*)\}[?+]?")


class Pattern(NamedTuple):
    """A regular expression, and what it costs to match a text by it."""

    expression: re.Pattern[str]
    cost: int

    def fits(self, text: str) -> bool:
        """Tell whether the expression matches all of a text."""
        return len(text) <= MOST_MATCHED and self.expression.fullmatch(text) is not None


@lru_cache(maxsize=256)
def pattern(text: str) -> Pattern:
    """Compile an anchored filter; NotSupported where it is none, or too costly to take from others."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "c", text, flags=re.DOTALL)
    ways = _ways(bare)
    if len(text) > _MOST_CHARACTERS or ways > _MOST_WAYS or _REPEATED_GROUP.search(bare) or "(?" in bare:
        raise NotSupported(f"The regular expression {text[:80]!r} may be too costly: it must have at most "
                           f"{_MOST_CHARACTERS} characters and no repeated groups, and the ways that its repetitions "
                           f"(an endless one counts as {MOST_MATCHED}) and alternatives leave must not multiply to "
                           f"more than {_MOST_WAYS}.", expression="ValueSet.compose.include.filter.value")
    try:
        return Pattern(re.compile(text), _LEAST_COST + ways // _WAYS_OF_COST)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotSupported(f"{text[:80]!r} is no regular expression: {error}.",
                           expression="ValueSet.compose.include.filter.value") from None


def _ways(bare: str) -> int:
    """Count the ways in which a text can be taken apart at most; no further than what is too many."""
    ways, alternatives = 1, [1]
    for found in _CHOICE.finditer(bare):
        match found[0][0]:
            case "(":
                alternatives.append(1)
            case "|":
                alternatives[-1] += 1
            case ")" if len(alternatives) > 1:
                ways *= alternatives.pop()
            case "*" | "+":
                ways *= MOST_MATCHED
            case "?":
                ways *= 2
            case "{":
                ways *= _lengths(*found.groups())
        if ways > _MOST_WAYS:
            break
    for one in alternatives:
        ways *= one
    return ways


def _lengths(least: str, comma: str, most: str) -> int:
    """Count the lengths that `{m,n}` leaves to a text."""
    if not comma:
        return 1
    longest = MOST_MATCHED if not most else min(int(most[:9]), MOST_MATCHED)
    return max(1, longest - int(least[:9] or 0) + 1)
