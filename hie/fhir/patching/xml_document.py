"""Reads the document of an XML Patch: https://www.rfc-editor.org/rfc/rfc5261, https://www.rfc-editor.org/rfc/rfc7351

Its root is <diff>, as in RFC 5261, or <patch> of RFC 7351. Expat reads, as it does resources: a document type, and with
it every entity, is refused where it begins; nothing is ever fetched.
"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat

from hie.errors import InvalidXml
from hie.fhir.patching.bounds import MOST_OPERATIONS
from hie.fhir.patching.xml_operations import XmlOperations
from hie.fhir.patching.xml_path import LONGEST
from hie.fhir.xml_format.guards import (
    namespace_told,
    refuse_many_attributes,
    refuse_other_encodings,
    shown,
    wrong_declaration,
)
from hie.fhir.xml_format.tables import FHIR, XmlError

RFC_7351 = "urn:ietf:rfc:7351"
#: Characters of all paths: to read one takes some 4 µs a character, and that twice in a transaction.
MOST_OF_PATHS = 300_000
#: Each operation keeps those that are declared where it stands.
MOST_PREFIXES = 100
#: Tags, texts and comments of what is added: each takes many times its bytes in memory.
MOST_PARTS = 200_000
#: Elements nested in what is added: more than FHIR's own bound and a narrative's together.
MAX_DEPTH = 170
KNOWN = ("add", "replace", "remove")
_ATTRIBUTES = {"add": ("sel", "pos", "type"), "replace": ("sel",), "remove": ("sel", "ws")}
_POSITIONS, _SPACES = ("prepend", "before", "after"), ("before", "after", "both")
_SPACE = " \t\r\n"


def read(data: bytes) -> XmlOperations:
    """Read the operations; InvalidXml says what is wrong, and where."""
    try:
        refuse_other_encodings(data)
        refuse_many_attributes(data)
        reader = _Reader()
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        text = expat.errors.messages.get(error.code, "not well-formed")
        raise InvalidXml(str(XmlError(f"The patch is not XML: {text}.", error.lineno, error.offset + 1))) from None
    except XmlError as error:
        raise InvalidXml(str(error)) from None
    return reader.operations


class _Reader:
    """Takes the operations as expat meets them; `_depth` 1 is the root, 2 an operation, more its content."""

    def __init__(self) -> None:
        self.operations = XmlOperations()
        self._space = ""
        self._depth = self._parts = self._of_paths = 0
        self._declared = set[tuple[str | None, str | None]]()
        self._texts: list[str] = []
        self._prefixes: dict[str, list[str]] = {}
        self._in_scope: dict[str, str] | None = None
        self.parser = parser = expat.ParserCreate("UTF-8", " ")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._namespace
        parser.EndNamespaceDeclHandler = self._end_namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction

    def _declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if (wrong := wrong_declaration(version, encoding, "a patch")) is not None:
            self._refuse(wrong)

    def _doctype(self, *_: object) -> NoReturn:
        self._refuse("A document type declaration is not taken: a patch has no entities but those of XML itself.")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared.add((prefix, uri))
        if len(self._declared) > MOST_PREFIXES:
            self._refuse(f"More than {MOST_PREFIXES} prefixes of namespaces are declared.")
        self._prefixes.setdefault(prefix or "", []).append(uri or "")
        self._in_scope = None

    def _end_namespace(self, prefix: str | None) -> None:
        self._prefixes[prefix or ""].pop()
        self._in_scope = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self._begin(tag)
        elif self._depth == 2:
            self._operation(tag, attributes)
        else:
            if self._depth > MAX_DEPTH + 2:
                self._refuse(f"What is added is nested deeper than {MAX_DEPTH} elements.")
            self._content({"start": tag, "attributes": attributes})

    def _begin(self, tag: str) -> None:
        space, _, name = tag.rpartition(" ")
        if name not in ("diff", "patch") or space not in ("", FHIR, RFC_7351):
            self._refuse(f"The root is {shown(name)} ({namespace_told(space)}); of an XML Patch it is diff (in no "
                         f"namespace, or in {FHIR}), or patch of {RFC_7351}.")
        self._space = space

    def _operation(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        number = len(self.operations)
        if name not in KNOWN or space not in (self._space, "", FHIR):
            self._refuse(f"Operation {number} is {shown(name)} ({namespace_told(space)}); known are "
                         f"{', '.join(KNOWN)}.")
        if number >= MOST_OPERATIONS:
            self._refuse(f"The patch has more than {MOST_OPERATIONS} operations.")
        unknown = next((one for one in attributes if one not in _ATTRIBUTES[name]), None)
        if unknown is not None:
            self._refuse(f"Operation {number} ({name}) has the attribute {shown(unknown.rpartition(' ')[2])}; it "
                         f"takes {', '.join(_ATTRIBUTES[name])}.")
        if not attributes.get("sel", "").strip(_SPACE):
            self._refuse(f"Operation {number} ({name}) has no sel.")
        if len(attributes["sel"]) > LONGEST:
            self._refuse(f"sel of operation {number} ({name}) is longer than {LONGEST} characters.")
        self._of_paths += len(attributes["sel"])
        if self._of_paths > MOST_OF_PATHS:
            self._refuse(f"The paths of the patch have more than {MOST_OF_PATHS} characters together; send fewer "
                         "operations at a time.")
        for key, known in (("pos", _POSITIONS), ("ws", _SPACES)):
            if key in attributes and attributes[key] not in known:
                self._refuse(f"{key} of operation {number} ({name}) is {shown(attributes[key])}; known are "
                             f"{', '.join(known)}.")
        if "pos" in attributes and "type" in attributes:
            self._refuse(f"Operation {number} (add) has both pos and type; an attribute has no position.")
        if self._in_scope is None:
            self._in_scope = {prefix: uris[-1] for prefix, uris in self._prefixes.items() if uris}
        self.operations.append({"op": name, "line": self.parser.CurrentLineNumber, "namespaces": self._in_scope,
                                "content": [], **attributes})

    def _end(self, tag: str) -> None:
        if self._depth > 2:
            self._content({"end": tag})
        elif self._depth == 2:
            self._flush()
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._depth > 1:
            self._texts.append(text)
        elif text.strip(_SPACE):
            self._refuse(f"Text ({shown(text.strip())}) stands between operations.")

    def _comment(self, text: str) -> None:
        if self._depth > 1:
            self._content({"comment": text})

    def _instruction(self, target: str, data: str) -> None:
        if self._depth > 1:
            self._content({"instruction": target, "data": data})

    def _content(self, event: dict[str, Any]) -> None:
        self._flush()
        self._parts += 1
        if self._parts > MOST_PARTS:
            self._refuse(f"The patch has more than {MOST_PARTS} tags and comments; send fewer at a time.")
        self.operations[-1]["content"].append(event)

    def _flush(self) -> None:
        if self._texts:
            self.operations[-1]["content"].append("".join(self._texts))
            self._texts.clear()

    def _refuse(self, message: str) -> NoReturn:
        raise XmlError(message, self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1)
