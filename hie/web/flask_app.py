"""The Flask application, with the FHIR API ahead of it: which blueprints, hooks and handlers there are."""

from __future__ import annotations

from flask import Flask

from hie.app import Application
from hie.registry import Registry
from hie.settings import Settings
from hie.store.store import Clock
from hie.web import error_handlers, exchange, health, logs, metrics, openapi, smart
from hie.web.admin import blueprint as admin
from hie.web.database import engine_of
from hie.web.fhir_api import FhirApi
from hie.web.rules import MatchedRule
from hie.web.unread import Unread


def make(settings: Settings, *, registry: Registry | None, clock: Clock) -> Flask:
    """Join the application with its web edge."""
    logs.configure(settings.log_level)
    app = Flask("hie", static_folder=None)
    app.url_rule_class = MatchedRule
    # A doubled slash names nothing; Werkzeug would answer it by a redirect.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    application = Application.open(
        settings, engine=engine_of(app, settings), registry=registry, clock=clock, decides_index=True
    )
    app.extensions["hie"] = application
    exchange.install(app, application)
    error_handlers.install(app)
    for part in (admin, health, smart, metrics, openapi):
        app.register_blueprint(part.make(application))
    inner = FhirApi(application, app.wsgi_app)
    app.wsgi_app = Unread(inner, settings.max_body_bytes, settings.threads)  # type: ignore[method-assign]
    return app
