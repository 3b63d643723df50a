"""Profiles, tags and security labels as sets: https://hl7.org/fhir/R4/resource.html#Meta

A profile is known by its URL, a tag or label by system and code; its version and display do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.fhir.summary import SUBSETTED

Json = dict[str, Any]

_CODED = ("security", "tag")


def united(metas: Iterable[Json]) -> Json:
    """Return every profile, security label and tag of some metas, each once, in their order."""
    found: dict[str, dict[Any, Any]] = {name: {} for name in ("profile", *_CODED)}
    for meta in metas:
        for name, values in found.items():
            for one in meta.get(name, []):
                if one is not None:  # an extension may stand in its place
                    values.setdefault(_key(one), one)
    return {name: list(values.values()) for name, values in found.items() if values}


def added(meta: Json, more: Json) -> Json:
    """Return the meta with the profiles, labels and tags of another one that it does not have."""
    result = dict(meta)
    for name in ("profile", *_CODED):
        there = list(meta.get(name, []))
        known = {_key(one) for one in there if one is not None}
        new = list(united([{name: more.get(name, [])}]).get(name, []))
        new = [one for one in new if _key(one) not in known]
        if new:
            result[name] = there + new
            if f"_{name}" in meta:
                result[f"_{name}"] = meta[f"_{name}"] + [None] * len(new)
    return result


def labelled_as(resource: Json, before: Json) -> Json:
    """Return a resource with the tags and security labels of its version before that it does not have.

    Profiles are replaced: https://hl7.org/fhir/R4/resource.html#tag-updates. The tag of a part says what that version
    was, not what this one is.
    """
    old, new = without(before.get("meta", {}), {"tag": [SUBSETTED]}), resource.get("meta", {})
    merged = added(new, {name: old[name] for name in _CODED if name in old})
    return resource if merged == new else resource | {"meta": merged}


def labelled_alone_by(resource: Json, sent: Json) -> Json:
    """Return a resource with those tags and security labels alone that it was sent with."""
    meta = {name: one for name, one in resource["meta"].items() if name.removeprefix("_") not in _CODED}
    own = {name: one for name, one in sent.get("meta", {}).items() if name.removeprefix("_") in _CODED}
    return resource | {"meta": meta | own}


def without(meta: Json, less: Json) -> Json:
    """Return the meta without the profiles, labels and tags of another one."""
    result = dict(meta)
    for name in ("profile", *_CODED):
        there = meta.get(name)
        gone = {_key(one) for one in less.get(name, []) if one is not None}
        if not there or not gone:
            continue
        kept = [index for index, one in enumerate(there) if one is None or _key(one) not in gone]
        for element in (name, f"_{name}"):
            if element in meta:
                values = [meta[element][index] for index in kept]
                result[element] = values
                if not any(one is not None for one in values):
                    del result[element]
    return result


def _key(one: Any) -> Any:
    return (one.get("system"), one.get("code"), None if "code" in one else repr(one)) if isinstance(one, dict) else one
