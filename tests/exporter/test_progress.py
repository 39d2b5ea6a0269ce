from __future__ import annotations

from exporter.progress import Clock


def test_one_step_ends_where_the_next_starts() -> None:
    names: list[str] = []
    clock = Clock(names.append)
    assert clock.steps == []
    clock.start("source")
    clock.start("capture")
    clock.start("optimize")
    clock.start("capture")
    assert (
        names == [step.name for step in clock.steps] == ["source", "capture", "optimize", "capture"]
    )
    assert all(step.seconds >= 0 for step in clock.steps)
