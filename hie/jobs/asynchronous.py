"""The jobs behind `Prefer: respond-async`: doing a request, and removing its answer when it has expired."""

from __future__ import annotations

from hie.interactions import asynchronous
from hie.registry import JobKind

KIND = JobKind(asynchronous.JOB, asynchronous.perform, asynchronous.gave_up, asynchronous.owners)
EXPIRY = JobKind(asynchronous.EXPIRY_JOB, asynchronous.expire)
