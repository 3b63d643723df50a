"""Parameters that several operations take, of how and as of when they answer."""

from __future__ import annotations

from hie.fhir import paging
from hie.registry import Parameter

AS_OF = Parameter(
    paging.AS_OF, "instant",
    documentation="The record as it was at this instant. A parameter of this server.")
SUMMARY = Parameter(
    "_summary", "code", documentation="Which part of each resource is answered, as in a search.")
ELEMENTS = Parameter(
    "_elements", "string", documentation="Elements of each resource that are answered, with commas, as in a search.")
