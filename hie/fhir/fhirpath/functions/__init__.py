"""The functions of FHIRPath, and those FHIR adds.

https://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from . import bounds, collections, conversion, existence, fhir, mathematics, strings, tree, utility
from .function import Function

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for module in (bounds, collections, conversion, existence, fhir, mathematics, strings, tree, utility)
    for function in module.FUNCTIONS
}
