"""What is known of a patient beside the items: sex and age band, as named columns of a model."""

from __future__ import annotations

from ml.recommender.history import SEXES

BANDS = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
"""Decades; chosen beforehand, not tuned: finer and coarser ones differ by less than the spread over seeds."""

POPULARITY = "popularity"

SEX_COLUMNS = tuple(f"sex {sex}" for sex in SEXES)
AGE_COLUMNS = tuple(f"age {band}" for band in BANDS)
TRAITS = SEX_COLUMNS + AGE_COLUMNS
"""One column each for sex and for age band: they stand beside the items in the hybrid."""

GROUPS = (
    *SEX_COLUMNS,
    *AGE_COLUMNS,
    *(f"{sex}, {age}" for sex in SEX_COLUMNS for age in AGE_COLUMNS),
)
"""Groups of like patients: by both, or by the one that is known."""

GROUP_PREFIX = "patients of "
COLUMNS = (*TRAITS, *(GROUP_PREFIX + group for group in GROUPS), POPULARITY)
"""Every row of a model's weights that is not an item, in order."""


def band(age: int) -> str:
    """The age band of whole years."""
    return BANDS[min(age // 10, len(BANDS) - 1)]


def traits(sex: str | None, age: int | None) -> list[str]:
    """The trait columns that hold for a patient: none, one or two."""
    return ([f"sex {sex}"] if sex in SEXES else []) + ([f"age {band(age)}"] if age is not None else [])


def group(sex: str | None, age: int | None) -> str | None:
    """The column of the patient's group; None when neither sex nor age is known."""
    known = traits(sex, age)
    return GROUP_PREFIX + ", ".join(known) if known else None
