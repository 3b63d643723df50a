"""What no XML is read of, and how that is told: https://hl7.org/fhir/R4/security.html#narrative

Entities and depth are refused where a reader meets them; this is asked of the text before.
"""

from __future__ import annotations

import re

from hie.fhir.xml_format.tables import XmlError

MAX_ATTRIBUTES = 64
"""Attributes of one tag; no element of FHIR has more than three, none of XHTML more than a dozen."""
#: A tag that is long enough to cost anything, and one with too many attributes: expat gathers them before it tells.
_LONG_TAG = re.compile(rb"<[^<]{4096,}")
_MANY_ATTRIBUTES = re.compile(
    rb"<[^\s<>/!?][^\s<>/]*(?:\s+[^\s=<>]+\s*=\s*(?:\"[^\"]*\"|'[^']*')){%d}" % (MAX_ATTRIBUTES + 1)
)


def refuse_other_encodings(data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise XmlError("The text is not UTF-8 but looks like UTF-16 or UTF-32; FHIR XML is UTF-8.", 1, 1)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise XmlError(f"The text is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; FHIR XML is "
                       "UTF-8.", before.count(b"\n") + 1, error.start - before.rfind(b"\n")) from None


def refuse_many_attributes(data: bytes) -> None:
    for tag in _LONG_TAG.finditer(data):
        if _MANY_ATTRIBUTES.match(data, tag.start()):
            before = data[: tag.start()]
            raise XmlError(f"A tag has more than {MAX_ATTRIBUTES} attributes.", before.count(b"\n") + 1,
                           tag.start() - before.rfind(b"\n"))


def wrong_declaration(version: str, encoding: str | None, what: str) -> str | None:
    """Tell what is wrong with an XML declaration; None where nothing is."""
    if version != "1.0":
        return f"XML {version[:20]} is not taken; {what} is XML 1.0."
    if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
        return f"The document says it is {encoding[:40]}; {what} is UTF-8."
    return None


def namespace_told(uri: str) -> str:
    """Tell of a namespace."""
    return f"in the namespace {shown(uri)}" if uri else "in no namespace"


def shown(text: str) -> str:
    """Cut what a client sent to a length and to characters that may stand in an answer."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:60])
    return printable + ("…" if len(text) > 60 else "")
