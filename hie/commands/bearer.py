"""The token that a command sends to a server: apart from those that make one, whose database it need not load."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: What the connection says of itself.
_NOT_GIVEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept", "accept-encoding"})
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\t\x20-\x7e]*?)\s*", re.ASCII)


def from_options(token: str | None, file: Path | None, variable: str = "HIE_TOKEN") -> str | None:
    """Return the token of a client command: the option, the file's content, or the variable."""
    if token is not None:
        return token.strip()
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return os.environ.get(variable, "").strip() or None


def source_headers(token: str | None, token_file: Path | None, header_file: Path | None) -> dict[str, str]:
    """Return what says to a source who asks; HIE_TOKEN, which is for another server, says it never. ValueError."""
    headers = {} if header_file is None else _headers(header_file)
    bearer = from_options(token, token_file, "HIE_SOURCE_TOKEN")
    if bearer is not None:
        if any(name.lower() == "authorization" for name in headers):
            raise ValueError(f"{header_file} has the header Authorization, and a token is given for the source too.")
        headers["Authorization"] = f"Bearer {bearer}"
    return headers


def _headers(file: Path) -> dict[str, str]:
    """Read headers, one a line; what is told of a line that is none is its number, not what it says."""
    headers = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        found = _HEADER.fullmatch(line)
        if found is not None and found[1].lower() not in _NOT_GIVEN:
            headers[found[1]] = found[2]
        elif line.strip():
            raise ValueError(f"Line {number} of {file} is no header that may be given, such as X-Api-Key: value.")
    return headers
