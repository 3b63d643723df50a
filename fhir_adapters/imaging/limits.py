"""How large and how slow an image may be. A chest radiograph has 4 to 16 megapixels and 2 to 32 MB."""

from __future__ import annotations

MAX_BYTES = 64_000_000
"""Bytes of one file."""

MAX_PIXELS = 40_000_000
"""Rows times columns; checked before anything is allocated for the pixels."""

MAX_SIDE = 32_000
"""Rows or columns alone; one pixel by 40 million is no picture."""

MAX_SCANS = 64
"""Scans of a progressive JPEG; each one visits every pixel again. Encoders write about ten."""

MAX_READS = 100_000
"""Reads while walking a DICOM data set, about one for each element. Real ones have some hundred."""

MAX_SEQUENCE_READS = 5_000
"""The same inside each of the few sequences that are looked into; a LUT or a code takes about ten."""

PIXELS_IN_PROCESS = 4_000_000
BYTES_IN_PROCESS = 4_000_000
"""Above either, and for every compressed DICOM, decoding happens in a process of its own under the limits below."""

CPU_SECONDS = 20
WALL_SECONDS = 30.0
MEMORY_BYTES = 2 * 1024**3
