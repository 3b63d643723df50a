"""The XHTML that people read of a summary: https://hl7.org/fhir/R4/narrative.html"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

#: A cell is to be read at a glance; all of it stands in the entry.
LONGEST = 300
#: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def text(value: str) -> str:
    """Return a text as it may stand in XHTML."""
    short = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    return html.escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", short))


def paragraphs(lines: Iterable[str]) -> str:
    """Return each line as a paragraph."""
    return "".join(f"<p>{text(line)}</p>" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    top = "".join(f"<th>{text(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def narrative(content: str) -> dict[str, Any]:
    """Return a narrative that was made of data alone."""
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'}
