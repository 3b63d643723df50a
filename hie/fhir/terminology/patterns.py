"""Regular expressions that come from data, of those only that cannot run away: https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from __future__ import annotations

import re
from functools import lru_cache

from hie.errors import NotSupported

_MOST_CHARACTERS = 200
#: With n of them a text of length l can cost l to the power of n.
_MOST_ENDLESS = 2
_ENDLESS = re.compile(r"[*+]|\{\d*,\}|\{\d*,\d{3,}\}")
#: A repeated group that holds a repetition or a choice can take exponential time.
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{\d)")


@lru_cache(maxsize=256)
def pattern(text: str) -> re.Pattern[str]:
    """Compile an anchored filter; NotSupported where it is none, or too costly to take from others."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "c", text, flags=re.DOTALL)
    endless = len(_ENDLESS.findall(bare))
    if len(text) > _MOST_CHARACTERS or endless > _MOST_ENDLESS or _REPEATED_GROUP.search(bare) or "(?" in bare:
        raise NotSupported(f"The regular expression {text[:80]!r} may be too costly: it must be at most "
                           f"{_MOST_CHARACTERS} characters, without repeated groups and with at most {_MOST_ENDLESS} "
                           "endless repetitions.", expression="ValueSet.compose.include.filter.value")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotSupported(f"{text[:80]!r} is no regular expression: {error}.",
                           expression="ValueSet.compose.include.filter.value") from None
