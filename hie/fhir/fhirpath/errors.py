"""What can be wrong with a FHIRPath expression."""

from __future__ import annotations


class FhirPathError(Exception):
    """An expression that could not be evaluated on this input: https://hl7.org/fhirpath/N1/"""


class FhirPathSyntaxError(FhirPathError):
    """An expression that is no FHIRPath; says what was found, and at which character."""

    def __init__(self, message: str, expression: str, position: int) -> None:
        super().__init__(f"{message} at character {position + 1} of {expression!r:.200}")
        self.expression = expression
        self.position = position


class FhirPathUnsupported(FhirPathError):
    """An expression that is FHIRPath but asks for something this compiler does not offer."""


class FhirPathSemanticError(FhirPathUnsupported):
    """An expression that cannot mean anything for its type: https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation"""


class FhirPathLimit(FhirPathError):
    """An evaluation that was ended because it took too long or found too much."""
