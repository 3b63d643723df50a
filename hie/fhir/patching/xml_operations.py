"""The operations of an XML Patch as plain JSON, so that they can be kept, and references in them resolved.

Made by hie.fhir.patching.xml_document; the type tells them from a JSON Patch, which is an array as well.
"""

from __future__ import annotations

from typing import Any

from hie.fhir.patching import xml_path

_FHIR, _XHTML = "http://hl7.org/fhir ", "http://www.w3.org/1999/xhtml "


class XmlOperations(list[dict[str, Any]]):
    """The operations of one XML Patch."""

    def values(self) -> list[tuple[Any, Any, str]]:
        """Return where values of FHIR's elements stand: the holder, the key in it, and the element's name.

        Addresses in narratives have the name "url": they are URIs.
        """
        found: list[tuple[Any, Any, str]] = []
        for row in self:
            content = row["content"]
            name = _set_by(row)
            if name and len(content) == 1 and isinstance(content[0], str):
                found.append((content, 0, name))
            for event in content:
                if not isinstance(event, dict) or "start" not in event:
                    continue
                element, attributes = event["start"], event["attributes"]
                if element.startswith(_FHIR) and "value" in attributes:
                    found.append((attributes, "value", element.removeprefix(_FHIR)))
                elif element.startswith(_XHTML):
                    found += [(attributes, key, "url") for key in ("href", "src") if key in attributes]
        return found


def _set_by(row: dict[str, Any]) -> str:
    """Name the element whose value an operation sets by itself; "" where it does not, or its path is none."""
    try:
        steps = xml_path.parsed(row["sel"], row["namespaces"]).steps
    except xml_path.PathError:
        return ""
    if "type" in row:
        owner = steps[-1] if row["type"] == "@value" else None
    else:
        owner = steps[-2] if len(steps) > 1 and steps[-1] == xml_path.VALUE else None
    return owner.name.removeprefix(_FHIR) if owner is not None and owner.name.startswith(_FHIR) else ""
