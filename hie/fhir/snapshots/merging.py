"""What an element of a differential changes of its base: https://hl7.org/fhir/R4/elementdefinition.html#interpretation"""

from __future__ import annotations

import json
import re
from typing import Any

from hie.fhir.snapshots.narrowing import number

Json = dict[str, Any]

#: Texts that a differential may continue: one that begins with these dots is put behind the base's.
_TEXTS = ("definition", "comment", "requirements")
_MORE = "..."
#: Lists to which a differential adds.
_ADDED = ("alias", "code", "condition", "example", "mapping", "extension")
_FIRST = ("id", "path", "sliceName")
#: Extensions that tell of a definition itself: how mature it is, and whose.
_OWN = ("-standards-status", "-normative-version", "-fmm", "-wg", "-ballot-status")
#: R4's own texts link to pages beside them.
_R4, _PAGES = "http://hl7.org/fhir/StructureDefinition/", "http://hl7.org/fhir/R4/"
_LINK = re.compile(r"\]\((?=[a-z0-9-]+\.html)")
#: What is told of an extension by its definition: https://hl7.org/fhir/R4/profiling.html#extensions
_OF_EXTENSIONS = ("short", "definition", "comment", "requirements", "alias", "mapping")


def merged(base: Json, change: Json, *, source: str, base_url: str) -> Json:
    """Return the base's element as the differential has it; each constraint says where it comes from."""
    found = dict(base)
    types: list[Json] = change.get("type") or base.get("type", [])
    is_extension = base.get("path") == "Extension" or any(one.get("code") == "Extension" for one in types)
    for name, value in change.items():
        if name in _FIRST or (name in ("isModifier", "isModifierReason") and not is_extension):
            continue  # whether it modifies what is around it is its own definition's to say
        if name in _TEXTS and isinstance(value, str) and value.startswith(_MORE) and name in base:
            found[name] = f"{base[name]}\n{value.removeprefix(_MORE)}"
        elif name in _ADDED:
            found[name] = _with(base.get(name, []), value)
        elif name == "constraint":
            found[name] = [*base.get(name, []), *_sourced(_new(base.get(name, []), value), source)]
        elif name == "binding":
            found[name] = base.get(name, {}) | value
        elif name.startswith(("fixed", "pattern", "minValue", "maxValue", "defaultValue")):
            found = {one: old for one, old in found.items() if _kind(one) != _kind(name)} | {name: value}
        else:
            found[name] = value
    if "constraint" in base:
        own = _sourced(base["constraint"], base_url)
        found["constraint"] = own + found["constraint"][len(own):]
    if "type" in change and not _is_bindable(found.get("type", [])):
        found.pop("binding", None)
    return found


#: https://hl7.org/fhir/R4/terminologies.html#4.1
_BOUND = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "canonical", "url",
                    "oid", "uuid", "id", "markdown"})


def _is_bindable(types: list[Json]) -> bool:
    return not types or any(one.get("code") in _BOUND for one in types)


def _kind(name: str) -> str:
    return next((one for one in ("fixed", "pattern", "minValue", "maxValue", "defaultValue") if name.startswith(one)),
                name)


def _with(old: list[Any], new: list[Any]) -> list[Any]:
    known = {_written(one) for one in old}
    return [*old, *{text: one for one in new if (text := _written(one)) not in known}.values()]


def _written(one: Any) -> str:
    """Return a value so that equal ones are found at once: there may be thousands."""
    return one if isinstance(one, str) else json.dumps(one, sort_keys=True, default=str)


def _new(old: list[Json], new: list[Json]) -> list[Json]:
    known = {one.get("key") for one in old}
    return [one for one in new if one.get("key") not in known]


def _sourced(rows: list[Json], source: str) -> list[Json]:
    return [one if "source" in one else one | {"source": source} for one in rows]


def told_by_profile(element: Json, root: Json, *, is_extension: bool) -> Json:
    """Return an element with what the root of its type's profile says: constraints, and of an extension what it is and
    how often it may be. What an element of another type means is its own to tell.
    """
    rules = element.get("constraint", [])
    rules = [*rules, *_new(rules, root.get("constraint", []))]
    found = element | ({"constraint": rules} if rules else {})
    if not is_extension:
        return found
    if "max" in root and _most(root) < _most(found):
        found["max"] = root["max"]
    kept = {name: value for name, value in found.items() if name not in ("alias", "mapping")}
    return kept | {name: root[name] for name in _OF_EXTENSIONS if name in root}


def _most(element: Json) -> float:
    found = number(str(element.get("max", "*")))
    return 0 if found is None else found


def inherited(element: Json, source: str) -> Json:
    """Return what profiles of a definition inherit of an element: with what it was at first, where its constraints come
    from, and links that lead somewhere from elsewhere."""
    found = {name: value for name, value in element.items() if name != "extension"}
    extensions = [one for one in element.get("extension", []) if not str(one.get("url")).endswith(_OWN)]
    if extensions:
        found["extension"] = extensions
    if "constraint" in element:
        found["constraint"] = _sourced(element["constraint"], source)
    if source.startswith(_R4):
        for name in _TEXTS:
            if isinstance(found.get(name), str):
                found[name] = _LINK.sub(f"]({_PAGES}", found[name])
    path = str(element.get("path"))
    first = {"path": path, "min": element.get("min", 0), "max": element.get("max", "*")}
    return found if "base" in found else found | {"base": first}
