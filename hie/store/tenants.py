"""What one tenant's rows are sealed and hashed with."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hie.store.audit import AuditKeys
from hie.store.crypto import NONCE, Blind, SealBroken
from hie.store.keys import DataKeys, KeyManagement
from hie.store.known_parameters import KnownParameters
from hie.store.recent import Recent
from hie.store.search.indexed import Indexed
from hie.store.turns import Turns

if TYPE_CHECKING:
    from hie.store.packages import Profiles

DEFAULT_TENANT = 1


class Tenant:
    """The keys of one tenant, and how it is indexed; shared by the threads of a process.

    `content_words`: every string can be searched by its words (`_content`), not the narrative alone.
    `enforces_on_write`: what is written must not refer to nothing; `enforces_on_delete`: what others refer to stays.
    """

    def __init__(
        self, tenant_id: int, name: str, management: KeyManagement, *, content_words: bool = False,
        enforces_on_write: bool = True, enforces_on_delete: bool = True,
    ) -> None:
        self.id, self.name, self.content_words = tenant_id, name, content_words
        self.enforces_on_write, self.enforces_on_delete = enforces_on_write, enforces_on_delete
        self.blind = Blind(management.derive(tenant_id, "blind-index"))
        self.data_keys = DataKeys(management, tenant_id)
        self.job_cipher = AESGCM(management.derive(tenant_id, "job"))
        self.audit_keys = AuditKeys(
            management.derive(tenant_id, "audit-sealing"), management.derive(tenant_id, "audit-chain"), self.blind
        )
        self.parameters = KnownParameters()
        self.indexed = Indexed()
        self.recent = Recent()
        self.turns = Turns()
        self.profiles: Profiles | None = None
        """What installed packages define, for every tenant alike; None before the store is open."""
        self._text_cipher = AESGCM(management.derive(tenant_id, "cursor"))

    def seal_text(self, text: str) -> str:
        """Return `text` encrypted for a link: opaque to the client and refused when changed."""
        nonce = os.urandom(NONCE)
        sealed = nonce + self._text_cipher.encrypt(nonce, text.encode(), b"text")
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open_text(self, sealed: str) -> str:
        """Return what `seal_text` was given; SealBroken when it is not of this tenant or was changed."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._text_cipher.decrypt(raw[:NONCE], raw[NONCE:], b"text").decode()
        except (ValueError, InvalidTag) as error:
            raise SealBroken("The text was not sealed here.") from error
