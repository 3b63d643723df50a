"""A FHIR R4 health information exchange."""

__version__ = "0.1.0"
