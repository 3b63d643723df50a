"""The token that a command sends to a server: apart from those that make one, whose database it need not load."""

from __future__ import annotations

import os
from pathlib import Path


def from_options(token: str | None, file: Path | None) -> str | None:
    """Return the token of a client command: the option, the file's content, or the variable HIE_TOKEN."""
    if token is not None:
        return token.strip()
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return os.environ.get("HIE_TOKEN", "").strip() or None
