"""The operations of the terminology service: https://hl7.org/fhir/R4/terminology-service.html"""

from hie.operations import closure, expand, find_matches, lookup, subsumes, translate, validate_code

OPERATIONS = (
    expand.OPERATION,
    validate_code.VALUE_SET,
    validate_code.CODE_SYSTEM,
    lookup.OPERATION,
    subsumes.OPERATION,
    find_matches.OPERATION,
    translate.OPERATION,
    closure.OPERATION,
)
