"""Ids that the server gives to resources, clients and answers."""

from __future__ import annotations

import os


def new_id() -> str:
    """Return an id that nobody has: a random UUID (RFC 9562), written without the library's object for it."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
