"""Content codings, gzip (RFC 1952) and br (RFC 7932), of answers and of bodies: RFC 9110 sections 8.4 and 12.5.3

Whether an answer is worth it is told by its length before anything else is looked at. That what a client sends is
reflected beside records in one compressed answer (BREACH) gives nothing away here: docs/api/formats.md says why.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from hie.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from hie.web.reply import Reply

#: A shorter answer fits into one packet anyway.
WORTHWHILE = 1_400
CODINGS = ("br", "gzip")
_ALIASES = {"x-gzip": "gzip"}
#: Where more effort stops to pay: docs/api/formats.md has the figures.
_BROTLI_QUALITY = 4
_GZIP_LEVEL = 5
_GZIP_WINDOW = 31  # zlib's number for a gzip stream of the largest window
#: Concatenated gzip streams in one body; each costs a copy of the rest.
_MOST_MEMBERS = 64
_STEP = 1 << 20
_TEXTS = ("application/fhir+", "application/json", "application/xml", "text/")


def compressed(reply: Reply, accept_encoding: str) -> Reply:
    """Compress an answer as the client wishes; images and the like are compressed already and stay as they are."""
    coding = chosen(accept_encoding)
    if coding is None or not _is_text(reply):
        return reply
    if coding == "br":
        import brotli  # loaded by the first client that takes it

        body = brotli.compress(reply.body, quality=_BROTLI_QUALITY)
    else:
        body = zlib.compress(reply.body, _GZIP_LEVEL, _GZIP_WINDOW)
    return Reply(reply.status, [*reply.headers, ("Content-Encoding", coding)], body)


def _is_text(reply: Reply) -> bool:
    return any(name == "Content-Type" and value.startswith(_TEXTS) for name, value in reply.headers)


@lru_cache(maxsize=256)
def chosen(accept_encoding: str) -> str | None:
    """Read an Accept-Encoding header; None: the answer stays as it is. Of two with one quality br is taken."""
    qualities: dict[str, float] = {}
    for part in accept_encoding.split(","):
        name, _, parameter = part.partition(";")
        name = name.strip().lower()
        if name:
            qualities[_ALIASES.get(name, name)] = _quality(parameter)
    others = qualities.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: qualities.get(coding, others))  # the first of equals
    quality = qualities.get(best, others)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def _quality(parameter: str) -> float:
    name, equals, text = parameter.partition("=")
    if not equals:
        return 1.0
    try:
        quality = float(text) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


# ---- bodies ----------------------------------------------------------------------------------------------------------


def decoded(body: bytes, content_encoding: str, most: int) -> bytes:
    """Take the coding off a body; 415 for one that is not known, 413 as soon as more than `most` bytes come out."""
    codings = [_ALIASES.get(one, one) for part in content_encoding.split(",") if (one := part.strip().lower())]
    wanted = [one for one in codings if one != "identity"]
    if not wanted or not body:
        return body
    if len(wanted) > 1 or wanted[0] not in CODINGS:
        error = UnsupportedMediaType(
            f"Content-Encoding {content_encoding[:80]!r} is not taken; one of {', '.join(CODINGS)} is.",
            expression="http.Content-Encoding")
        error.headers["Accept-Encoding"] = ", ".join(CODINGS)
        raise error
    return _brotli(body, most) if wanted[0] == "br" else _gzip(body, most)


def _gzip(body: bytes, most: int) -> bytes:
    parts: list[bytes] = []
    found = 0
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(body, most - found + 1)
        except zlib.error as error:
            raise _broken("gzip") from error
        found += len(part)
        parts.append(part)
        if found > most:
            raise _too_large(most)
        if not member.eof:
            raise _broken("gzip")
        body = member.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise InvalidRequest(f"The body is made of more than {_MOST_MEMBERS} gzip streams.",
                         expression="http.Content-Encoding")


def _brotli(body: bytes, most: int) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    parts: list[bytes] = []
    found = 0
    while not decompressor.is_finished():
        try:
            part = decompressor.process(b"" if parts else body, output_buffer_limit=_STEP)
        except brotli.error as error:
            raise _broken("br") from error
        if not part and not decompressor.is_finished():
            raise _broken("br")  # everything was given, and it has not ended
        found += len(part)
        parts.append(part)
        if found > most:
            raise _too_large(most)
    return b"".join(parts)


def _broken(coding: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not whole and sound {coding}; nothing was done.",
                          expression="http.Content-Encoding")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body unpacks to more than the {most} bytes that are taken at once.",
                    expression="http.Content-Encoding")
