"""Rules whose builders of URLs are made late are Werkzeug's rules all the same."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.routing import Map, Rule

from hie.web.rules import MatchedRule

RULES = [
    {"string": "/", "endpoint": "root"},
    {"string": "/clients/<int:client>/tokens", "endpoint": "tokens", "methods": ["GET"]},
    {"string": "/files/<path:name>", "endpoint": "files", "defaults": {"page": 1}},
]
BUILT: list[tuple[str, dict[str, Any]]] = [
    ("root", {}), ("root", {"query": "ä b", "page": 2}), ("tokens", {"client": 7}), ("tokens", {"client": 7, "x": "&"}),
    ("files", {"name": "a b/c", "page": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "values"), BUILT)
@pytest.mark.parametrize("with_more", [True, False])
def test_a_url_is_built_as_werkzeug_builds_it(endpoint, values, with_more):
    one, other = (
        Map([kind(**rule) for rule in RULES]).bind("localhost").build(endpoint, values, append_unknown=with_more)
        for kind in (MatchedRule, Rule)
    )
    assert one == other


def test_a_path_is_matched_as_by_werkzeug():
    asked = Map([MatchedRule(**rule) for rule in RULES]).bind("localhost")
    assert asked.match("/clients/7/tokens", "GET") == ("tokens", {"client": 7})
    assert asked.match("/files/a/b") == ("files", {"page": 1, "name": "a/b"})
    assert asked.test("/clients/x/tokens", "GET") is False
