"""What tests of /openapi.json have in common: what it describes, and an address of each path."""

from __future__ import annotations

import re
from typing import Any

TEMPLATED = re.compile(r"\{[a-z]+\}")
#: values for the templates of a path
SAMPLE = {"{type}": "Patient", "{compartment}": "Patient",
          "{id}": "one", "{vid}": "1", "{client}": "none", "{token}": "none", "{model}": "none",
          "{job}": "999999", "{package}": "none", "{version}": "1",
          "{definition}": "-hie-diff", "{file}": "Patient.1.ndjson"}  # fmt: skip


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, item in document["paths"].items() for method in item}


def filled(path: str) -> str:
    return TEMPLATED.sub(lambda match: SAMPLE[match[0]], path)


def is_of_fhir(path: str) -> bool:
    return path.startswith("/fhir") and ".well-known" not in path
