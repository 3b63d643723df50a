"""What R4 says of single values: attachments, sets in meta, systems of codes, the URLs of extensions.

https://hl7.org/fhir/R4/datatypes.html, https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

from .walk import Found

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_VALUE_SET = "/ValueSet/"
#: The path of an extension in an extension, as against one of its value.
_INSIDE = re.compile(r"xtension\[[0-9]+\]\.extension\[[0-9]+\]$", re.ASCII)


def of(one: Found) -> Iterator[Problem]:
    """Give what is not as it should be about one object, at paths below it."""
    if one.type == "Attachment":
        yield from _attachment(one.value)
    elif one.type == "Meta":
        yield from _sets(one.value)
    elif one.type == "Coding":
        yield from _system(one.value)
    elif one.type == "Extension" and not _INSIDE.search(one.path):
        yield from _definition(one.value)


def _attachment(value: dict[str, Any]) -> Iterator[Problem]:
    """size and hash are those of the data: https://hl7.org/fhir/R4/datatypes.html#attachment"""
    data, size, digest = value.get("data"), value.get("size"), value.get("hash")
    if not isinstance(data, str) or (size is None and digest is None):
        return
    try:
        content = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return  # told by the base rules
    if type(size) is int and size != len(content):
        yield ".size", "error", "value", f"{size} is found; the data have {len(content)} bytes."
    if isinstance(digest, str) and _is_other(digest, content):
        yield ".hash", "error", "value", "It is not the SHA-1 of the data."


def _is_other(digest: str, content: bytes) -> bool:
    try:
        return base64.b64decode(digest) != hashlib.sha1(content, usedforsecurity=False).digest()
    except (binascii.Error, ValueError):
        return False


def _sets(meta: dict[str, Any]) -> Iterator[Problem]:
    """Profiles, security labels and tags are sets: https://hl7.org/fhir/R4/resource-definitions.html#Meta.security"""
    for name in ("profile", "security", "tag"):
        seen: set[Any] = set()
        rows = meta.get(name)
        for index, one in enumerate(rows if isinstance(rows, list) else ()):
            mark = _identity(one)
            if mark in seen and mark is not None:
                yield f".{name}[{index}]", "error", "duplicate", f"It is there twice; Meta.{name} is a set."
            seen.add(mark)


def _identity(one: Any) -> Any:
    """Say which member of a set is meant: version and display of a label do not count."""
    if isinstance(one, dict):
        return (one.get("system"), one["code"]) if "code" in one else None
    return one


def _system(coding: dict[str, Any]) -> Iterator[Problem]:
    """A system names a code system, everywhere: https://hl7.org/fhir/R4/datatypes.html#Coding"""
    system = coding.get("system")
    if not isinstance(system, str):
        return
    if not _ABSOLUTE.match(system):
        yield ".system", "warning", "value", f"{shown(system)} is relative; the absolute URI of a code system is meant."
    elif _VALUE_SET in system and system.startswith("http"):
        text = f"{shown(system)} is the URL of a value set; that of a code system is meant."
        yield ".system", "warning", "value", text


def _definition(extension: dict[str, Any]) -> Iterator[Problem]:
    """Names alone are for extensions in extensions: https://hl7.org/fhir/R4/extensibility.html#Extension"""
    url = extension.get("url")
    if isinstance(url, str) and not _ABSOLUTE.match(url):
        text = f"{shown(url)} is relative; the absolute URL of the extension's definition is meant."
        yield ".url", "error", "value", text
