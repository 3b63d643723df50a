"""The definitions that a client may name, as their authors wrote them: installed ones, R4's own, and stored ones."""

from __future__ import annotations

from typing import Any

from hie.errors import TooCostly
from hie.fhir import structures
from hie.fhir.profiles.library import pinned
from hie.fhir.terminology.terminology import split_canonical
from hie.store.packages import Profiles
from hie.store.resources import ResourceStore
from hie.store.terminology import StoredTerminology

Json = dict[str, Any]

_TYPE = "StructureDefinition"
#: Definitions that one snapshot may be made of.
MOST_LOOKED_UP = 200


class Published:
    """Definitions with all that they say: those that are installed, R4's own, and those that the token may search."""

    def __init__(self, store: ResourceStore, installed: Profiles) -> None:
        self._stored, self._installed = StoredTerminology(store), installed
        self._found: dict[str, Json | None] = {}
        self.lacking = ""
        """What is installed without what people read, by a version of the server that did not keep that."""

    def find(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL as one that others are made of; None where it is not here."""
        found, definition = self.named(canonical), self._installed.library().named(canonical)
        return found if found is None or definition is None else pinned(found, definition, self._installed.library())

    def named(self, canonical: str) -> Json | None:
        """Return the definition with this canonical URL as its author wrote it; None where it is not here."""
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP:
                raise TooCostly(f"The profile is made of more than {MOST_LOOKED_UP} definitions.",
                                expression="StructureDefinition.differential")
            own = self.shared(canonical)
            known = None if own is not None else self._stored.find(_TYPE, *split_canonical(canonical))
            self._found[canonical] = own if known is None else known.resource
        return self._found[canonical]

    def shared(self, canonical: str) -> Json | None:
        """Return a definition that is installed, or one of R4."""
        definition, own = self._installed.library().named(canonical), structures.find(*split_canonical(canonical))
        if definition is None or (own is not None and definition.version == structures.VERSION):
            return own
        found = self._installed.published(canonical)
        if found is None and own is None:
            self.lacking = (f" {definition.canonical} was installed by an earlier version of this server, which did "
                            "not keep what people read of it; install its package again.")
        return own if found is None else found
