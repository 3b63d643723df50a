"""What is decided above the store, or before it is asked, is shown on one database: both are given the same."""

import pytest

ONE_DATABASE = pytest.mark.parametrize("database_kind", ["sqlite"])
