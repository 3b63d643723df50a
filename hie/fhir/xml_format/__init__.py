"""The XML form of resources, read and written: https://hl7.org/fhir/R4/xml.html

JSON stays the form that is checked and stored. What XML says is put into the very JSON that a client could have sent
(`parse`), and a stored resource is written as XML only for an answer (`dump`); `parse(dump(resource)) == resource`.
"""

from __future__ import annotations

from hie.fhir.xml_format.reading import parse
from hie.fhir.xml_format.tables import FHIR, XmlError
from hie.fhir.xml_format.writing import dump

__all__ = ["FHIR", "XmlError", "dump", "parse"]
