"""An HTTP answer as a value, before any web framework."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

Headers = list[tuple[str, str]]

_LINES = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}


class Reply(NamedTuple):
    """Status, headers and body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def line(self) -> str:
        """The status as WSGI wants it."""
        return _LINES.get(self.status) or f"{self.status} Unknown"
