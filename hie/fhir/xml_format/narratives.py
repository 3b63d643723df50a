"""A narrative of FHIR XML, as it is read: https://hl7.org/fhir/R4/narrative.html"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from hie.fhir.xml_format.tables import XHTML

_XML = "http://www.w3.org/XML/1998/namespace "
#: Elements of XHTML without content; others keep their end tag, as readers of HTML want it.
_VOID = frozenset({"area", "br", "col", "hr", "img"})


class Div:
    """A narrative: where its text begins, and what it says, written anew."""

    __slots__ = ("depth", "is_bare", "is_open", "offset", "parts")

    def __init__(self, offset: int) -> None:
        self.offset, self.depth = offset, 0
        self.parts: list[str] = []
        self.is_open = False  # whether the latest start tag still lacks its end
        self.is_bare = False  # whether nothing but comments stands in the div

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take a start tag."""
        self._close()
        self.depth += 1
        own = f' xmlns="{XHTML}"' if self.depth == 1 else ""
        others = "".join(f" {name.replace(_XML, 'xml:')}={_quoted(text)}" for name, text in attributes.items())
        self.parts.append(f"<{tag.rpartition(' ')[2]}{own}{others}")
        self.is_open = True

    def text(self, text: str) -> None:
        """Take text."""
        self._close()
        self.parts.append(escape(text))

    def end(self, tag: str) -> bool:
        """Take an end tag; True where it is that of the div itself."""
        name = tag.rpartition(" ")[2]
        self.is_bare = self.is_open and self.depth == 1
        if self.is_open and name in _VOID:
            self.parts.append("/>")
            self.is_open = False
        else:
            self._close()
            self.parts.append(f"</{name}>")
        self.depth -= 1
        return self.depth == 0

    def _close(self) -> None:
        if self.is_open:
            self.parts.append(">")
            self.is_open = False


def _quoted(text: str) -> str:
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
