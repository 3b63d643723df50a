"""The engine of a web process, by Flask-SQLAlchemy; the store's own way of using it is in hie.store.database."""

from __future__ import annotations

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine

from hie.settings import Settings
from hie.store.engines import engine_options
from hie.store.models import metadata

db = SQLAlchemy(metadata=metadata)


def engine_of(app: Flask, settings: Settings) -> Engine:
    """Bind the extension to the app and return the engine of the database that the settings name."""
    url = settings.sqlalchemy_url
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(url, settings.threads)
    db.init_app(app)
    with app.app_context():
        return db.engine
