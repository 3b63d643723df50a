"""The R4 validator, compiled from the facts: https://hl7.org/fhir/R4/validation.html"""

from hie.fhir.validation.issue import Issue
from hie.fhir.validation.validator import validate

__all__ = ["Issue", "validate"]
