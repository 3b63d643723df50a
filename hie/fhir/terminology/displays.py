"""Whether a text is a display of a code: https://hl7.org/fhir/R4/terminologies.html#display"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_display(text: str, display: str | None, designations: Iterable[dict[str, Any]]) -> bool:
    """Tell whether a code is shown so, in whatever language, without regard to case and white space."""
    known = [display or "", *(str(one.get("value", "")) for one in designations)]
    return _folded(text) in map(_folded, known)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
