"""The image of a Media: its bytes, wherever they are, and whose it is. https://hl7.org/fhir/R4/media.html"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.errors import InvalidResource, NotFound, OutcomeIssue, Unprocessable
from hie.fhir import binary, json_format, references
from hie.store.resources import ResourceStore

if TYPE_CHECKING:
    from fhir_adapters.imaging import Header


@dataclass(frozen=True, slots=True)
class MediaImage:
    """The bytes of an image, as which type they are declared, and the element that holds them."""

    data: bytes
    content_type: str | None
    expression: str

    @property
    def sha256(self) -> str:
        """What makes the image known."""
        return hashlib.sha256(self.data).hexdigest()


def patient_of(media: dict[str, Any], base_url: str) -> str | None:
    """Patient/id of the Media's subject; None where there is none, or where it is no Patient of this server."""
    text = media.get("subject", {}).get("reference", "")
    parsed = references.parse(text.removeprefix(f"{base_url}/"))
    return f"Patient/{parsed.id}" if parsed.kind == "relative" and parsed.type == "Patient" else None


def binary_of(media: dict[str, Any], base_url: str) -> str | None:
    """The id of the Binary that holds the image; None where it is inline, or at an address that is not ours."""
    parsed = references.parse(str(media.get("content", {}).get("url", "")).removeprefix(f"{base_url}/"))
    return parsed.id if parsed.kind == "relative" and parsed.type == "Binary" else None


def image_of(media: dict[str, Any], store: ResourceStore) -> MediaImage:
    """The image of a Media; NotFound or Gone where its Binary is, Unprocessable where there is no image to be had.

    Addresses of other servers are never followed.
    """
    content = media.get("content", {})
    declared = content.get("contentType")
    if "data" in content:
        image = MediaImage(_decoded(content["data"]), declared, "Media.content.data")
    else:
        id_ = binary_of(media, store.base_url)
        if id_ is None:
            raise Unprocessable("The Media has no image of this server: give it as content.data, or content.url as "
                                "Binary/[id].", expression="Media.content")
        data, held_as = binary.opened(json_format.parse(store.read("Binary", id_).content or b"{}"))
        image = MediaImage(data, declared or held_as, "Media.content.url")
    _check_hash(content, image)
    return image


def inspected(image: MediaImage) -> Header | None:
    """The image's header; None where it is an image of a kind that is not read; Unprocessable where it is none."""
    from fhir_adapters import imaging
    from fhir_adapters.base import AdapterError, NoImage, Unsupported

    try:
        return imaging.inspect(image.data, image.content_type)
    except AdapterError as error:
        if isinstance(error, Unsupported) and not isinstance(error, NoImage):
            return None
        issue = OutcomeIssue(error.code, error.diagnostics, image.expression)
        raise Unprocessable(error.diagnostics, issues=[issue]) from error


def is_reachable(media: dict[str, Any], store: ResourceStore) -> bool:
    """Tell whether the image can be had now; a Binary of the same transaction may come only later."""
    id_ = binary_of(media, store.base_url)
    if "data" in media.get("content", {}) or id_ is None:
        return True
    try:
        store.read("Binary", id_)
    except NotFound:
        return False
    return True


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError) as error:
        raise InvalidResource("The data are not base64.", expression="Media.content.data") from error


def _check_hash(content: dict[str, Any], image: MediaImage) -> None:
    """https://hl7.org/fhir/R4/datatypes.html#Attachment: size and SHA-1, where given, are those of the bytes."""
    if "size" in content and int(content["size"]) != len(image.data):
        raise Unprocessable(f"content.size says {content['size']} bytes, there are {len(image.data)}.",
                            expression="Media.content.size")
    digest = hashlib.sha1(image.data, usedforsecurity=False).digest()
    if "hash" in content and _decoded(content["hash"]) != digest:
        raise Unprocessable("content.hash is not the SHA-1 of the image.", expression="Media.content.hash")
