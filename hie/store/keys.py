"""Keys: root key file -> key-encryption key of a tenant -> data key of a patient (D5).

Everything below the root is derived (HKDF, RFC 5869) or wrapped (AES-256-GCM); without its row a
patient's record is unreadable, but in backups that hold it (docs/adr/0005).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import BigInteger, Connection, Integer, Text, bindparam, select

from hie.store.crypto import NONCE, associated_data
from hie.store.models import data_key
from hie.store.prepared import Listed, Prepared

#: Opened keys that a process remembers, 0.4 kB each with their places in two tables.
CACHED_KEYS = 8_000
#: Ciphers made of them: what OpenSSL sets up for one takes 2.4 kB, and to make it anew 2 µs.
CACHED_CIPHERS = 512

K = TypeVar("K")
V = TypeVar("V")


class KeyProblem(Exception):
    """The key file is missing, unreadable, open to others, or not the one of this database."""


class KeyManagement(Protocol):
    """What a key management service offers; the root key never leaves it."""

    def wrap(self, tenant: int, key: bytes, place: bytes) -> tuple[int, bytes]:
        """Return (version of the key-encryption key, wrapped key)."""

    def unwrap(self, tenant: int, version: int, wrapped: bytes, place: bytes) -> bytes:
        """Return the key; KeyProblem when it does not open."""

    def derive(self, tenant: int, purpose: str) -> bytes:
        """Return the 32-byte key of the tenant for one purpose."""


class FileKeys:
    """Key management by a local JWK file (RFC 7517, kty oct) that only its owner may read."""

    VERSION = 1

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._wrapping: dict[int, AESGCM] = {}

    @classmethod
    def create(cls, path: Path) -> FileKeys:
        """Write a new root key; the file must not exist."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        jwk = {"kty": "oct", "use": "enc", "kid": secrets.token_hex(8), "k": _base64url(os.urandom(32))}
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.load(path)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"keys": [jwk]}, file)
            file.flush()
            os.fsync(file.fileno())
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> FileKeys:
        """Read the root key; KeyProblem says what to do when that cannot be."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise KeyProblem(f"The key file {path} may be read by others (mode {mode:o}); set it to 600.")
            jwk = json.loads(path.read_text(encoding="utf-8"))["keys"][0]
            root = base64.urlsafe_b64decode(jwk["k"] + "=" * (-len(jwk["k"]) % 4))
        except OSError as error:
            raise KeyProblem(f"The key file {path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise KeyProblem(f"The key file {path} is not a JWK set with one symmetric key.") from error
        if len(root) != 32:
            raise KeyProblem(f"The key file {path} holds a key of {len(root)} bytes; 32 are needed.")
        return cls(root)

    def derive(self, tenant: int, purpose: str) -> bytes:
        info = f"hie/{self.VERSION}/{tenant}/{purpose}".encode()
        return HKDF(SHA256(), 32, salt=None, info=info).derive(self._root)

    def wrap(self, tenant: int, key: bytes, place: bytes) -> tuple[int, bytes]:
        nonce = os.urandom(NONCE)
        return self.VERSION, nonce + self._kek(tenant).encrypt(nonce, key, place)

    def unwrap(self, tenant: int, version: int, wrapped: bytes, place: bytes) -> bytes:
        if version != self.VERSION:
            raise KeyProblem(f"A data key is wrapped by version {version} of the key-encryption key; it is not known.")
        try:
            return self._kek(tenant).decrypt(wrapped[:NONCE], wrapped[NONCE:], place)
        except InvalidTag as error:
            raise KeyProblem("A data key does not open: the key file is not the one of this database.") from error

    def _kek(self, tenant: int) -> AESGCM:
        if tenant not in self._wrapping:
            self._wrapping[tenant] = AESGCM(self.derive(tenant, "key-encryption-key"))
        return self._wrapping[tenant]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_ROW = ("id", "wrapped", "kek", "owner")
_SELECT = select(*(data_key.c[name] for name in _ROW)).where(data_key.c.tenant == bindparam("tenant", type_=Integer()))
_BY_OWNER = Prepared(_SELECT.where(data_key.c.owner == bindparam("owner", type_=Text())), _ROW)
_BY_IDS = Listed(lambda ids: _SELECT.where(data_key.c.id.in_(ids)), BigInteger(), _ROW)


class OpenedKey:
    """A data key."""

    __slots__ = ("cipher", "id", "key", "owner")

    def __init__(self, id_: int, owner: str, key: bytes) -> None:
        self.id, self.owner, self.key, self.cipher = id_, owner, key, AESGCM(key)


class NewKey(OpenedKey):
    """A data key that was made in a transaction and is stored with it."""

    __slots__ = ("row",)

    def __init__(self, id_: int, owner: str, row: dict[str, object], key: bytes) -> None:
        super().__init__(id_, owner, key)
        self.row = row


class MetKeys:
    """The keys that an open transaction has read; of some of them it cannot tell whether they will be committed.

    Its own may be rolled back, and on SQLite so may those of requests that share its commit. Whoever sealed by such a
    key would write what nobody can open. So until the commit they are for this transaction alone.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, OpenedKey] = {}
        self.by_owner: dict[str, OpenedKey] = {}

    def add(self, key: OpenedKey) -> None:
        """Remember a key."""
        self.by_id[key.id] = self.by_owner[key.owner] = key


class DataKeys:
    """The opened data keys of one tenant: a bounded memory shared by the threads of a process."""

    def __init__(self, management: KeyManagement, tenant: int) -> None:
        self._management, self._tenant = management, tenant
        self._keys: OrderedDict[int, bytes] = OrderedDict()
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._ciphers: OrderedDict[int, AESGCM] = OrderedDict()
        self._lock = Lock()

    def of_owner(
        self, connection: Connection, owner: str, met: MetKeys | None = None
    ) -> tuple[int, AESGCM] | None:
        """Return (id, cipher) of the data key of a patient (empty owner: the tenant's); None: it has none yet.

        `met`: of the transaction on whose connection it is read; what is read without one is known to be committed.
        """
        key_id = self._ids.get(owner)
        cipher = self._ciphers.get(key_id) or self._made(key_id) if key_id is not None else None
        if key_id is not None and cipher is not None:
            return key_id, cipher
        opened = met.by_owner.get(owner) if met is not None else None
        if opened is None:
            row = _BY_OWNER.first(connection, {"tenant": self._tenant, "owner": owner})
            if row is None:
                return None
            opened = self._open(row, met)
        return opened.id, opened.cipher

    def of_ids(self, connection: Connection, ids: Iterable[int], met: MetKeys | None = None) -> dict[int, AESGCM]:
        """Return the ciphers of `ids`; those that are not in memory are read together. Missing keys are left out."""
        found: dict[int, AESGCM] = {}
        missing: list[int] = []
        for one in set(ids):
            cipher = self._ciphers.get(one) or self._made(one)
            if cipher is None and met is not None and one in met.by_id:
                cipher = met.by_id[one].cipher
            if cipher is None:
                missing.append(one)
            else:
                found[one] = cipher
        for rows in _BY_IDS.all(connection, missing, {"tenant": self._tenant}):
            found |= {row.id: self._open(row, met).cipher for row in rows}
        return found

    def new(self, owner: str, now: int) -> NewKey:
        """Make a data key; it counts once its row is committed and `adopt` was called."""
        key_id, key = secrets.randbits(62), AESGCM.generate_key(256)
        version, wrapped = self._management.wrap(self._tenant, key, self._place(key_id, owner))
        row = {
            "id": key_id, "tenant": self._tenant, "owner": owner, "wrapped": wrapped, "kek": version, "created": now,
        }  # fmt: skip
        return NewKey(key_id, owner, row, key)

    def adopt(self, key: OpenedKey) -> None:
        """Remember a key whose row is committed."""
        with self._lock:
            self._keep(self._keys, key.id, key.key, CACHED_KEYS)
            self._keep(self._ids, key.owner, key.id, CACHED_KEYS)
            self._keep(self._ciphers, key.id, key.cipher, CACHED_CIPHERS)

    def _open(self, row: Any, met: MetKeys | None) -> OpenedKey:
        place = self._place(row.id, row.owner)
        opened = OpenedKey(row.id, row.owner, self._management.unwrap(self._tenant, row.kek, row.wrapped, place))
        if met is None:
            self.adopt(opened)
        else:
            met.add(opened)
        return opened

    def _made(self, key_id: int) -> AESGCM | None:
        """Make the cipher of a key that is remembered; None: it is not."""
        key = self._keys.get(key_id)
        if key is None:
            return None
        cipher = AESGCM(key)
        with self._lock:
            self._keep(self._ciphers, key_id, cipher, CACHED_CIPHERS)
        return cipher

    @staticmethod
    def _keep(known: OrderedDict[K, V], name: K, value: V, most: int) -> None:
        known[name] = value
        if len(known) > most:
            known.popitem(last=False)

    def _place(self, key_id: int, owner: str) -> bytes:
        return associated_data("data-key", self._tenant, key_id, owner)
