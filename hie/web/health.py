"""GET /health: whether this process answers and its database does. Open to everybody; says nothing of any record."""

from __future__ import annotations

import logging

import orjson
from flask import Blueprint, Response
from sqlalchemy import text

from hie.app import Application
from hie.errors import Busy
from hie.web import exchange

log = logging.getLogger("hie.web")


def make(application: Application) -> Blueprint:
    """Make the blueprint of /health."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health")
    def health() -> Response:
        # A probe comes every few seconds and touches no record: it would only bury the audit trail.
        exchange.current().audited = False
        try:
            application.store.database.connection().execute(text("SELECT 1"))
        except Exception as error:
            log.exception("the database does not answer")
            raise Busy("The database does not answer.") from error
        application.store.look_again()
        return Response(orjson.dumps({"status": "ok", "database": "ok"}), content_type="application/json")

    return blueprint
