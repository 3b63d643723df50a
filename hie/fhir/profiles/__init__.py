"""Profiles of packages: read, kept, and asked whether a resource conforms: https://hl7.org/fhir/R4/profiling.html

`package.read` gives what a package brings, a `Library` holds several, `validator.conformance` judges.
"""

from __future__ import annotations

from .library import Definition, Library
from .package import Package, PackageError, read
from .validator import conformance, declared

__all__ = ["Definition", "Library", "Package", "PackageError", "conformance", "declared", "read"]
