"""What the text of R4 states, and neither its structures nor its invariants do: $validate tells it, no write asks it.

`problems` gives it of a resource that is valid by the base rules.
"""

from __future__ import annotations

from .judging import problems

__all__ = ["problems"]
