"""Packages of profiles: what is installed, and how writes that declare a profile are treated."""

from __future__ import annotations

from typing import Any

from hie.errors import Unprocessable
from hie.fhir import profiles
from hie.store import packages
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment

LONGEST_MODE = 20


def list_packages(request: AdminRequest) -> AdminResponse:
    """Every installed package, and how this tenant's writes are judged."""
    return AdminResponse(200, _packages(request))


def install_package(request: AdminRequest) -> AdminResponse:
    """Install a package from its tarball, for every tenant and process; the same file again changes nothing.

    Profiles that came without a snapshot, of which none can be made, are told with the reason.
    """
    try:
        found = profiles.read(request.body)
    except profiles.PackageError as error:
        raise Unprocessable(str(error)) from error
    now = request.now
    request.write(lambda connection: packages.add(connection, found, now))
    return AdminResponse(200, _packages(request) | {"unusable": packages.unusable(request.connection, found)})


def set_validation(request: AdminRequest) -> AdminResponse:
    """Judge this tenant's writes by the profiles they declare: off, warn or reject."""
    body = inputs.body_object(request.body, frozenset({"validation"}), frozenset({"validation"}))
    mode, tenant = inputs.text(body, "validation", LONGEST_MODE), request.tenant
    request.write(lambda connection: packages.set_mode(connection, tenant, mode))
    return AdminResponse(200, _packages(request))


def remove_package(request: AdminRequest) -> AdminResponse:
    """Remove one version of a package, for every tenant and process."""
    name, version = request.path["package"], request.path["version"]
    request.write(lambda connection: packages.remove(connection, name, version))
    return AdminResponse(200, _packages(request))


def _packages(request: AdminRequest) -> dict[str, Any]:
    rows = [
        {
            "name": row["name"], "version": row["version"], "title": row["title"], "canonical": row["canonical"],
            "profiles": row["profiles"], "installed": moment(row["installed"]),
        }
        for row in packages.packages(request.connection)
    ]  # fmt: skip
    return {"validation": packages.mode_of(request.connection, request.tenant), "packages": rows}
