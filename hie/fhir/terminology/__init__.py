"""Code systems, value sets and concept maps: https://hl7.org/fhir/R4/terminology-service.html

Pure: what is stored comes through a Source (hie.store.terminology); what ships with R4 is read from the data beside
hie.fhir at the first question. `in_value_set` is the one question that bindings and memberOf() ask.
"""

from hie.fhir.terminology.source import Source
from hie.fhir.terminology.terminology import Terminology, in_value_set

__all__ = ["Source", "Terminology", "in_value_set"]
