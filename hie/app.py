"""The one place where the parts are joined; with Flask around it (`create_app`) or without (`Application.open`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from hie.context import Context
from hie.fhir.scopes import FULL_GRANT, Grant
from hie.interactions.dispatch import dispatch
from hie.registry import Models, Registry, built_in, with_plugins
from hie.security.authentication import Authenticator, Principal
from hie.settings import Settings
from hie.store.active_models import ActiveModels
from hie.store.audit import AuditEntry
from hie.store.ids import new_id
from hie.store.packages import Profiles
from hie.store.store import Clock, Store, now
from hie.store.tenants import DEFAULT_TENANT

if TYPE_CHECKING:
    from flask import Flask

#: Who acts when a job works on nobody's behalf.
SERVER = Principal("hie", "hie", "", DEFAULT_TENANT, FULL_GRANT)


@dataclass(frozen=True, slots=True)
class Application:
    """What one process is made of: web processes, workers and commands have the same."""

    settings: Settings
    store: Store
    registry: Registry
    models: Models
    authenticator: Authenticator
    clock: Clock
    profiles: Profiles

    @classmethod
    def open(
        cls, settings: Settings, *, engine: Engine | None = None, registry: Registry | None = None, clock: Clock = now,
        decides_index: bool = False,
    ) -> Application:  # fmt: skip
        """Open the store and join the parts; StoreProblem and RegistryError say why this cannot be."""
        registry = with_plugins(built_in()) if registry is None else registry
        store = Store.open(settings, engine=engine, clock=clock, decides_index=decides_index)
        authenticator = Authenticator(store.database, clock, settings.token_cache_seconds)
        active = ActiveModels(store.database, clock)
        models = Models(registry.models, settings, active)
        active.know(models.at_hand())
        return cls(settings, store, registry, models, authenticator, clock, store.profiles)

    @property
    def base_url(self) -> str:
        """The base of links where no request tells it."""
        return self.settings.base_url.rstrip("/") or f"http://{self.settings.host}:{self.settings.port}/fhir"

    def context(
        self,
        principal: Principal = SERVER,
        grant: Grant | None = None,
        *,
        request_id: str | None = None,
        base_url: str | None = None,
        interaction: str = "",
        entry: AuditEntry | None = None,
    ) -> Context:
        """Return what an interaction is given; `grant` narrows what the principal may do."""
        request_id = request_id or new_id()
        base_url = base_url or self.base_url
        if entry is None:
            entry = AuditEntry(principal.tenant, self.clock(), request_id, interaction, principal.client_id)
        return Context(
            store=self.store.bind(grant or principal.grant, entry),
            principal=principal,
            registry=self.registry,
            settings=self.settings,
            clock=self.clock,
            new_id=new_id,
            base_url=base_url,
            request_id=request_id,
            dispatch=dispatch,
            models=self.models,
            profiles=self.profiles,
        )

    def close(self) -> None:
        """Close every connection."""
        self.store.close()


def create_app(settings: Settings, *, registry: Registry | None = None, clock: Clock = now) -> Flask:
    """Make the web application; `app.extensions["hie"]` is its Application."""
    from hie.web import flask_app

    return flask_app.make(settings, registry=registry, clock=clock)
