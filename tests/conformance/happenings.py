"""What happens at a server that another one follows: changes, deletions, transactions, resources that return."""

from __future__ import annotations

import random

from tests.builders import bundle, observation, patient, put
from tests.conformance.conftest import Fhir


def happen(there: Fhir, chance: random.Random) -> None:
    """Let one thing happen, to one of few resources."""
    id_ = chance.choice("abc")
    match chance.randrange(6):
        case 0:
            there.delete(f"Patient/{id_}")
        case 1:
            there.delete(f"Observation/{id_}")
        case 2:
            there.put(f"Observation/{id_}", observation(f"Patient/{chance.choice('abc')}", id=id_))
        case 3:
            status = chance.choice(("final", "amended"))
            there.post("", bundle(
                put(patient(chance.choice("XY"), id=id_)),
                put(observation(f"Patient/{id_}", id=chance.choice("abc"), status=status))))
        case _:
            there.put(f"Patient/{id_}", patient(chance.choice("XY"), id=id_, multipleBirthInteger=chance.randrange(9)))
