"""Work that follows a write: what triggers it, what each kind of job does, and the worker that does it (D12)."""

from __future__ import annotations

from hie.jobs import asynchronous, diagnosis, reindexing, triggers

JOB_KINDS = (diagnosis.KIND, asynchronous.KIND, asynchronous.EXPIRY, reindexing.KIND)
TRIGGERS = (triggers.MEDIA, triggers.DICOM)
