"""Sealing of stored content, and the keyed hashes that search runs on (D5, D6).

A sealed value is `version | nonce (12) | ciphertext and tag`: AES-256-GCM (NIST SP 800-38D) over zstd (RFC 8878) with
the shipped dictionary, or over a short value as it is. Its associated data name the place it belongs to, so that a
value that is moved to another tenant, resource, id or version does not open.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Callable
from functools import cache
from importlib import resources

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12
PLAIN, COMPRESSED = b"\x01", b"\x02"
#: Part of the place of what is not compressed, so that a changed first byte does not open it as something else.
_PLAIN_PLACE = b"\x1fplain"
#: Opened content may not be larger than this: a bound for the decompressor, above any accepted body.
LARGEST_CONTENT = 256 * 1024 * 1024


class SealBroken(Exception):
    """A sealed value does not open: wrong key, wrong place, or changed bytes."""


def associated_data(*parts: str | int) -> bytes:
    """Return the associated data that bind a sealed value to its place."""
    return "\x1f".join(map(str, parts)).encode()


def place_of_version(tenant: int, type_name: str, id_: str, vid: int, data_key: int) -> bytes:
    """Return the associated data of a stored version: once for each resource that is opened, so written out."""
    return f"resource\x1f{tenant}\x1f{type_name}\x1f{id_}\x1f{vid}\x1f{data_key}".encode()


def seal(key: AESGCM, plain: bytes, place: bytes) -> bytes:
    """Compress and encrypt `plain` for `place`."""
    nonce = os.urandom(NONCE)
    return COMPRESSED + nonce + key.encrypt(nonce, _zstd().compressor.compress(plain), place)


def seal_short(key: AESGCM, plain: bytes, place: bytes) -> bytes:
    """Encrypt what is too short to be worth compressing: an audit record's detail, of which each request makes one."""
    nonce = os.urandom(NONCE)
    return PLAIN + nonce + key.encrypt(nonce, plain, place + _PLAIN_PLACE)


def open_(key: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """Return what `seal` or `seal_short` was given; SealBroken when key, place or bytes differ."""
    try:
        if sealed[:1] == PLAIN:
            return key.decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], place + _PLAIN_PLACE)
        opened = key.decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], place)
        if sealed[:1] == COMPRESSED:
            return _zstd().decompressor.decompress(opened, max_output_size=LARGEST_CONTENT)
    except (InvalidTag, ValueError, zstandard.ZstdError) as error:
        raise SealBroken("A sealed value does not open.") from error
    raise SealBroken(f"A sealed value has the unknown format {sealed[:1]!r}.")


class _Zstd(threading.local):
    """One compressor and one decompressor a thread: the library's objects are not shared between threads.

    The dictionary is: sixteen threads with one each would have sixteen in the caches of the processor.
    """

    def __init__(self) -> None:
        dictionary = _dictionary()
        self.compressor = zstandard.ZstdCompressor(level=1, dict_data=dictionary, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(resources.files("hie.store").joinpath("data/resources.zdict").read_bytes())


@cache
def _zstd() -> _Zstd:
    return _Zstd()


_SIGNED: Callable[[bytes], tuple[int]] = struct.Struct(">q").unpack


class Blind:
    """Keyed hashes of one tenant: BLAKE2b (RFC 7693), 64 bits, as the signed integers databases index."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=8)

    def hash(self, *parts: str) -> int:
        """Return the hash of `parts`; no two different tuples of parts share an input."""
        keyed = self._keyed.copy()
        keyed.update("\x1f".join(parts).encode("utf-8", "surrogatepass"))
        return _SIGNED(keyed.digest())[0]
