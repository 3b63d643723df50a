"""GET /admin/status: how the exchange is, at a glance; no secrets."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from hie import __version__
from hie.fhir.scopes import FULL_GRANT
from hie.store import administration, schema
from hie.web.admin.request import AdminRequest, AdminResponse, moment

PACKAGES = ("Flask", "SQLAlchemy", "cryptography", "fhir.resources", "granian", "onnxruntime", "numpy")


def status(request: AdminRequest) -> AdminResponse:
    """Versions, counts, queue, models, uptime."""
    application = request.application
    store = application.store
    counts = store.bind(FULL_GRANT, request.entry).counts()
    models = [row for row in administration.models(request.connection) if row["active"]]
    content = {
        "software": {"name": "hie", "version": __version__, "python": platform.python_version()},
        "fhirVersion": "4.0.1",
        "packages": {name: package_version(name) for name in PACKAGES},
        "database": {"kind": store.database.dialect, "schemaVersion": schema.version(request.connection)},
        "startedAt": moment(request.started),
        "uptimeSeconds": (request.now - request.started) // 1_000_000,
        "resources": {"total": sum(counts.values()), "byType": dict(sorted(counts.items()))},
        "jobs": store.jobs.counts(),
        "models": [{"name": row["name"], "version": row["version"]} for row in models],
    }
    return AdminResponse(200, content)


def package_version(name: str) -> str:
    """Return the version of an installed package, or "unknown"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"

