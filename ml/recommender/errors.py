"""What the recommender can go wrong with.

ModelError
└── RecommenderError            bad input: histories, parameters, a request that makes no sense
    ├── PatientDeceased         nothing is recommended for somebody who died
    └── RecommenderUnreadable   files of a model are missing, damaged, or not what their manifest says
"""

from __future__ import annotations

from ml.result import ModelError, ModelUnreadable


class RecommenderError(ModelError):
    """Histories, parameters or a request that the recommender cannot work with."""


class PatientDeceased(RecommenderError):
    """The patient died: there is nothing to recommend."""


class RecommenderUnreadable(RecommenderError, ModelUnreadable):
    """The files of a recommender are missing, damaged, or differ from their manifest."""
