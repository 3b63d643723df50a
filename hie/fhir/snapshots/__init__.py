"""Snapshots made of differentials: https://hl7.org/fhir/R4/profiling.html#snapshot

`tree` reads lists of elements as trees and writes them again, `merging` puts one element of a differential on that of
its base, `walking` goes through both trees, `choices` knows what valueQuantity means.
"""

from hie.fhir.snapshots.generating import Allowance, Definitions, generated
from hie.fhir.snapshots.problems import SnapshotError

__all__ = ["Allowance", "Definitions", "SnapshotError", "generated"]
