"""The one route table of the administration API; blueprint, OpenAPI document and `hie routes` are made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hie.store.jobs import STATES
from hie.web.admin import audit, clients, inputs, jobs, models, packages, status
from hie.web.admin.request import AdminRequest, AdminResponse


class Parameter(NamedTuple):
    """A URL parameter. `words`: the values it may have; empty: any text. `kind`: its JSON Schema type."""

    name: str
    meaning: str
    kind: str = "string"
    words: tuple[str, ...] = ()


class AdminRoute(NamedTuple):
    """One line of the table. `code` is the interaction in the audit trail; `refusals` beside 400, 401 and 403."""

    code: str
    method: str
    path: str
    handler: Callable[[AdminRequest], AdminResponse]
    answer: str
    status: int = 200
    takes: str | None = None
    media: str | None = None
    """The media type of a body that is handed on as it is; `takes` names the schema of one in JSON."""
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = ()


_COUNT = Parameter("count", f"Rows of a page, 1 to {inputs.MOST}; 50 unless given.", "integer")
_JOB_FILTERS = (
    Parameter("state", "Only jobs in this state.", words=STATES),
    _COUNT,
    Parameter("before", "Only jobs with a smaller number: where the page before ended.", "integer"),
)
_AUDIT_FILTERS = (
    Parameter("since", "Records from this date or time on."),
    Parameter("until", "Records before this date or time."),
    Parameter("client", "Id of the client that asked."),
    Parameter("patient", "Patient/[id] whose record was touched."),
    Parameter("entity", "[type]/[id] that was asked for."),
    Parameter("interaction", "For example read, or token-create."),
    Parameter("status", "HTTP status of the answer.", "integer"),
    _COUNT,
    Parameter("cursor", "From the next link of the page before."),
)

ROUTES: tuple[AdminRoute, ...] = (
    AdminRoute("admin-status", "GET", "/status", status.status, "Status"),
    AdminRoute("admin-clients", "GET", "/clients", clients.list_clients, "Clients"),
    AdminRoute("client-create", "POST", "/clients", clients.create_client, "Client", 201, "NewClient",
               refusals=(409, 413, 415)),
    AdminRoute("admin-client", "GET", "/clients/{client}", clients.read_client, "Client", refusals=(404,)),
    AdminRoute("client-revoke", "DELETE", "/clients/{client}", clients.revoke_client, "Client", refusals=(404,)),
    AdminRoute("admin-tokens", "GET", "/clients/{client}/tokens", clients.list_tokens, "Tokens", refusals=(404,)),
    AdminRoute("token-create", "POST", "/clients/{client}/tokens", clients.create_token, "IssuedToken", 201, "NewToken",
               refusals=(404, 413, 415)),
    AdminRoute("token-revoke", "DELETE", "/clients/{client}/tokens/{token}", clients.revoke_token, "Token",
               refusals=(404,)),
    AdminRoute("admin-models", "GET", "/models", models.list_models, "Models"),
    AdminRoute("admin-manifest", "GET", "/models/{model}/manifest", models.read_manifest, "Manifest", refusals=(404,)),
    AdminRoute("model-activate", "POST", "/models/{model}/activate", models.activate_model, "Model", 200, "Activation",
               refusals=(404, 413, 415)),
    AdminRoute("admin-packages", "GET", "/packages", packages.list_packages, "Packages"),
    AdminRoute("package-install", "POST", "/packages", packages.install_package, "Packages", media="application/gzip",
               refusals=(409, 413, 415, 422)),
    AdminRoute("package-validation", "POST", "/packages/validation", packages.set_validation, "Packages", 200,
               "ProfileValidation", refusals=(413, 415)),
    AdminRoute("package-remove", "DELETE", "/packages/{package}/{version}", packages.remove_package, "Packages",
               refusals=(404,)),
    AdminRoute("admin-jobs", "GET", "/jobs", jobs.list_jobs, "Jobs", parameters=_JOB_FILTERS),
    AdminRoute("admin-job", "GET", "/jobs/{job}", jobs.read_job, "Job", refusals=(404,)),
    AdminRoute("job-retry", "POST", "/jobs/{job}/retry", jobs.retry_job, "Job", refusals=(404, 409)),
    AdminRoute("job-cancel", "POST", "/jobs/{job}/cancel", jobs.cancel_job, "Job", refusals=(404, 409)),
    AdminRoute("admin-audit", "GET", "/audit", audit.search_audit, "AuditEvents", parameters=_AUDIT_FILTERS),
)  # fmt: skip
