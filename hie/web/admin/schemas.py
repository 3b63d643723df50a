"""JSON Schemas (2020-12) of what the administration API takes and answers; parts of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from hie.store.jobs import STATES
from hie.store.packages import MODES
from hie.web.admin.clients import LONGEST_NAME, LONGEST_SCOPE, MOST_DAYS
from hie.web.admin.models import LONGEST_VERSION

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """Point at a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MOMENT_OR_NONE: Schema = {"type": ["string", "null"], "format": "date-time"}
_COUNTS: Schema = {"type": "object", "additionalProperties": _COUNT}

_TOKEN = {
    "id": _TEXT,
    "scope": _TEXT,
    "created": _MOMENT,
    "expires": _MOMENT,
    "revoked": _MOMENT_OR_NONE,
}
_SOFTWARE = _object({"name": _TEXT, "version": _TEXT, "python": _TEXT})

SCHEMAS: dict[str, Schema] = {
    "Status": _object(
        {
            "software": _SOFTWARE,
            "fhirVersion": {"const": "4.0.1"},
            "packages": {"type": "object", "additionalProperties": _TEXT},
            "database": _object({"kind": {"enum": ["sqlite", "postgresql"]}, "schemaVersion": _TEXT}),
            "startedAt": _MOMENT,
            "uptimeSeconds": _COUNT,
            "resources": _object({"total": _COUNT, "byType": _COUNTS}),
            "jobs": _object(dict.fromkeys(STATES, _COUNT)),
            "models": _list(_object({"name": _TEXT, "version": _TEXT})),
        }
    ),
    "Client": _object(
        {
            "id": _TEXT,
            "name": _TEXT,
            "created": _MOMENT,
            "revoked": _MOMENT_OR_NONE,
            "tokens": {**_COUNT, "description": "Tokens that are not revoked."},
        }
    ),
    "Clients": _object({"clients": _list(reference("Client"))}),
    "NewClient": _object({"name": {**_TEXT, "minLength": 1, "maxLength": LONGEST_NAME}}),
    "Token": _object(_TOKEN),
    "Tokens": _object({"tokens": _list(reference("Token"))}),
    "NewToken": _object(
        {
            "scope": {**_TEXT, "minLength": 1, "maxLength": LONGEST_SCOPE, "examples": ["system/*.rs", "admin"]},
            "expiresInDays": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_DAYS},
        },
        optional=("expiresInDays",),
    ),
    "IssuedToken": _object({**_TOKEN, "token": {**_TEXT, "description": "Shown in this answer only."}}),
    "Model": _object(
        {
            "name": _TEXT,
            "version": _TEXT,
            "active": {"type": "boolean"},
            "added": _MOMENT,
            "activated": _MOMENT_OR_NONE,
        }
    ),
    "Models": _object({"models": _list(reference("Model"))}),
    "Manifest": {
        "type": "object",
        "properties": {"name": _TEXT, "version": _TEXT},
        "required": ["name", "version"],
        "description": "What the model was made from and how it measured; members differ from model to model.",
    },
    "Activation": _object({"version": {**_TEXT, "minLength": 1, "maxLength": LONGEST_VERSION}}),
    "Packages": _object(
        {
            "validation": {"enum": list(MODES)},
            "packages": _list(
                _object(
                    {
                        "name": _TEXT,
                        "version": _TEXT,
                        "title": _TEXT,
                        "canonical": _TEXT,
                        "profiles": {
                            "type": "object",
                            "additionalProperties": _list(_TEXT),
                            "description": "Resource type: canonical URLs of its profiles.",
                        },
                        "installed": _MOMENT,
                    }
                )
            ),
            "unusable": {
                **_list(_TEXT),
                "description": "When one is installed: its profiles without a snapshot of which none can be made.",
            },
        },
        optional=("unusable",),
    ),
    "ProfileValidation": _object({"validation": {"enum": list(MODES)}}),
    "Job": _object(
        {
            "id": {"type": "integer", "minimum": 1},
            "kind": _TEXT,
            "state": {"enum": list(STATES)},
            "attempts": _COUNT,
            "created": _MOMENT,
            "runAfter": _MOMENT,
            "finished": _MOMENT_OR_NONE,
            "worker": {"type": ["string", "null"]},
            "error": {"type": ["string", "null"]},
        }
    ),
    "Jobs": _object(
        {
            "jobs": _list(reference("Job")),
            "next": {"type": ["string", "null"], "description": "URL of the page after this one."},
        }
    ),
    "AuditEvents": {
        "type": "object",
        "description": "A Bundle of type searchset with AuditEvents, newest first.",
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"const": "searchset"},
            "link": _list(_object({"relation": {"enum": ["self", "next"]}, "url": _TEXT})),
            "entry": {**_list(_object({
                "fullUrl": _TEXT,
                "resource": {
                    "type": "object",
                    "properties": {"resourceType": {"const": "AuditEvent"}, "recorded": _MOMENT},
                    "required": ["resourceType", "type", "recorded", "agent", "source"],
                },
                "search": _object({"mode": {"const": "match"}}),
            })), "minItems": 1},
        },
        "required": ["resourceType", "type", "link"],
        "additionalProperties": False,
    },
    "OperationOutcome": {
        "type": "object",
        "description": "https://hl7.org/fhir/R4/operationoutcome.html",
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "severity": {"enum": ["fatal", "error", "warning", "information"]},
                        "code": _TEXT,
                        "diagnostics": _TEXT,
                        "expression": _list(_TEXT),
                    },
                    "required": ["severity", "code"],
                },
            },
        },
        "required": ["resourceType", "issue"],
    },
    "Resource": {
        "type": "object",
        "description": "Any resource of FHIR R4: https://hl7.org/fhir/R4/resourcelist.html",
        "properties": {"resourceType": _TEXT},
        "required": ["resourceType"],
    },
}  # fmt: skip
