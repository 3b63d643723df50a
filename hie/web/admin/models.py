"""Models: which versions there are, what each was made from, and which one judges."""

from __future__ import annotations

from typing import Any

from hie.errors import Busy, NotFound
from hie.store import administration
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment

LONGEST_VERSION = 200


def list_models(request: AdminRequest) -> AdminResponse:
    """Every known version of every model."""
    return AdminResponse(200, {"models": [_model(row) for row in administration.models(request.connection)]})


def read_manifest(request: AdminRequest) -> AdminResponse:
    """The manifest of the active version: data, measures, threshold, checksums."""
    from ml.result import ModelUnreadable

    name = _known(request)
    try:
        return AdminResponse(200, dict(request.application.models[name].manifest))
    except ModelUnreadable as error:
        raise Busy(f"The model {name} cannot be loaded here: {error}") from error


def activate_model(request: AdminRequest) -> AdminResponse:
    """Make one version of a model the one that judges, here and in every other process."""
    body = inputs.body_object(request.body, frozenset({"version"}), frozenset({"version"}))
    name, version, now = request.path["model"], inputs.text(body, "version", LONGEST_VERSION), request.now
    request.write(lambda c: administration.activate_model(c, name, version, now))
    return AdminResponse(200, _find(request, name, version))


def _known(request: AdminRequest) -> str:
    name = request.path["model"]
    if name not in set(request.application.models):
        raise NotFound("There is no model of this name.")
    return name


def _find(request: AdminRequest, name: str, version: str) -> dict[str, Any]:
    for row in administration.models(request.connection):
        if (row["name"], row["version"]) == (name, version):
            return _model(row)
    raise NotFound(f"Model {name} has no version {version}.")


def _model(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"], "version": row["version"], "active": row["active"], "added": moment(row["added"]),
        "activated": moment(row["activated"]),
    }  # fmt: skip
