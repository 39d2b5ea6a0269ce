from __future__ import annotations

from exporter.errors import did_you_mean


def test_the_nearest_names_are_suggested_and_nothing_where_none_is_near() -> None:
    known = ("static", "dynamic", "qat-static")
    assert did_you_mean("statik", known, most=1) == " Did you mean static?"
    assert did_you_mean("statik", known) == " Did you mean static or qat-static?"
    assert did_you_mean("a", ("a1", "a2", "a3")) == " Did you mean a3, a2 or a1?"
    assert did_you_mean("zebra", known) == ""
    assert did_you_mean("static", ()) == ""
