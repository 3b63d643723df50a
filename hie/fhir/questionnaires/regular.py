"""Regular expressions of questions, which anybody may have written: https://hl7.org/fhir/R4/extension-regex.html

They are matched by an engine that stops when its time is over; between two looks at the clock it may do as much as the
lengths of expression and text leave it.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any

from hie.fhir.regular_expressions import compiled

#: What all expressions of one response may take, and how long one of them and a text may be.
SECONDS, LONGEST, LONGEST_TEXT = 1.0, 200, 1_000
#: Approximate matching, which no other engine has: `(?:x){e<=3}`.
_FUZZY = re.compile(r"\{[^}]*[<>=:]")


class Expressions:
    """The regular expressions that one response is compared with."""

    def __init__(self) -> None:
        self._left = SECONDS
        self.is_over = False
        """Not all was compared."""

    def fits(self, expression: str, text: str) -> bool | None:
        """Tell whether a text is of a form; None where the expression is none, or it would take too long."""
        if len(expression) > LONGEST or len(text) > LONGEST_TEXT or _FUZZY.search(expression):
            return None
        if self._left <= 0:
            self.is_over = True
            return None
        begun = time.monotonic()
        try:
            found = _compiled(expression)
            return None if found is None else found.fullmatch(text, timeout=self._left) is not None
        except TimeoutError:
            self.is_over = True
            return None
        finally:
            self._left -= time.monotonic() - begun


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Any:
    try:
        return compiled(expression)
    except ValueError:
        return None
