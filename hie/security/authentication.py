"""Bearer token -> principal (RFC 6750). Tokens are opaque; verified ones are remembered for a short time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hie.errors import Unauthenticated
from hie.fhir.scopes import Grant, parse_grant
from hie.store.administration import TokenRow, find_token
from hie.store.database import Database

REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what the token grants."""

    client_id: str
    client_name: str
    token_id: str
    tenant: int
    grant: Grant


class Authenticator:
    """Finds the principal of a token. A revoked token is answered from memory for `remember_seconds` at most."""

    def __init__(self, database: Database, clock: Callable[[], int], remember_seconds: int) -> None:
        self._database, self._clock = database, clock
        self._remember = remember_seconds * 1_000_000
        self._salt = os.urandom(16)
        self._known: dict[bytes, tuple[int, Principal]] = {}
        self._lock = threading.Lock()

    def principal(self, authorization: str | None) -> Principal:
        """Return the principal of an Authorization header; Unauthenticated says what is missing."""
        token = _bearer(authorization)
        at = self._clock()
        digest = hashlib.blake2b(token.encode("utf-8", "surrogateescape"), key=self._salt, digest_size=16).digest()
        known = self._known.get(digest)
        if known is not None and at < known[0]:
            return known[1]
        row = find_token(self._database.connection(), token, at)
        if row is None:
            raise _unauthenticated("The bearer token is unknown, expired or revoked.", 'error="invalid_token"')
        principal = _principal(row)
        self._keep(digest, min(at + self._remember, row.expires), principal)
        return principal

    def _keep(self, digest: bytes, until: int, principal: Principal) -> None:
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = (until, principal)


def _principal(row: TokenRow) -> Principal:
    return Principal(row.client, row.client_name, row.id, row.tenant, parse_grant([row.scope]))


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise _unauthenticated("This needs a bearer token: send the header Authorization: Bearer TOKEN.", "")
    scheme, _, token = authorization.partition(" ")
    is_bearer = scheme.lower() == "bearer"
    if not is_bearer or not token.strip() or not token.isascii():
        # RFC 6750 section 3.1: who asks in another way is told no error of a token
        raise _unauthenticated("The Authorization header must read: Bearer TOKEN.",
                               'error="invalid_token"' if is_bearer else "")
    return token.strip()


def _unauthenticated(text: str, challenge: str) -> Unauthenticated:
    error = Unauthenticated(text)
    error.headers["WWW-Authenticate"] = f'Bearer realm="fhir"{", " + challenge if challenge else ""}'
    return error
