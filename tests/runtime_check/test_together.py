"""Old files or new ones, never some of each: whatever fails, and wherever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime_check.scratch import clean, scratch_folder
from runtime_check.together import FINISHED, SCRATCH, put_in_place

NAMES = ("a.ptl", "a.report.html", "a.report.json")
OUT, APP, NEW_APP = "out", "app", "new"
# Two moves of the journal, seven of files: more calls than there are in any of the cases.
MOST_CALLS = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three old files in `out`, one of them in `app` as well, and an empty folder."""
    for folder in (OUT, APP, NEW_APP):
        (tmp_path / folder).mkdir()
    for name in NAMES:
        (tmp_path / OUT / name).write_text("old")
    (tmp_path / APP / NAMES[0]).write_text("old")
    (tmp_path / OUT / "other.ptl").write_text("of somebody else")
    return tmp_path


def publish(root: Path) -> None:
    with ExitStack() as stack:
        scratches = [
            stack.enter_context(scratch_folder(root / folder)) for folder in (OUT, APP, NEW_APP)
        ]
        for scratch, names in zip(scratches, (NAMES, NAMES[:1], NAMES[:1]), strict=True):
            (scratch / FINISHED).mkdir()
            for name in names:
                (scratch / FINISHED / name).write_text("new")
        put_in_place(scratches)


def state(root: Path) -> str:
    """Return "old" or "new" where all files are, and nothing else is there."""
    found = {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    assert found.pop("out/other.ptl") == "of somebody else"
    old = {f"{OUT}/{name}": "old" for name in NAMES} | {f"{APP}/{NAMES[0]}": "old"}
    new = dict.fromkeys((*old, f"{NEW_APP}/{NAMES[0]}"), "new")
    assert found in (old, new), found
    return "old" if found == old else "new"


def at_call(
    monkeypatch: pytest.MonkeyPatch, method: str, calls: set[int], then: Callable[[], None]
) -> list[int]:
    """Do `then` before these calls of a method of `Path`; return the list of the calls made."""
    real, made = getattr(Path, method), list[int]()

    def stand_in(self: Path, *args: object, **kwargs: object) -> object:
        made.append(len(made) + 1)
        if made[-1] in calls:
            then()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, method, stand_in)
    return made


def fail() -> None:
    raise OSError(5, "Input/output error")


def test_all_are_replaced(root: Path) -> None:
    publish(root)
    assert state(root) == "new"


@pytest.mark.parametrize("call", range(1, 8))
def test_a_move_that_fails_leaves_the_old_files(
    call: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One move of the journal, six of files."""
    made = at_call(monkeypatch, "replace", {call}, fail)
    if call <= 6:
        with pytest.raises(OSError, match="Input/output"):
            publish(root)
        assert state(root) == "old"
    else:
        publish(root)
        assert state(root) == "new"
        assert len(made) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_between_two_moves(
    error: type[BaseException], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise error

    at_call(monkeypatch, "replace", {4}, interrupt)
    with pytest.raises(error):
        publish(root)
    assert state(root) == "old"


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_way_leaves_the_old_files(name: str, root: Path) -> None:
    (root / OUT / name).unlink()
    (root / OUT / name).mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        publish(root)
    assert (root / OUT / name).is_dir()
    assert all((root / OUT / other).read_text() == "old" for other in set(NAMES) - {name})
    assert not list(root.rglob(f"{SCRATCH}*"))


def killed(work: Callable[[], None]) -> int:
    """Do `work` in a process of its own; return its exit code, 9 where it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def leftovers(root: Path) -> Iterator[Path]:
    yield root
    assert not list(root.rglob(f"{SCRATCH}*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")
@pytest.mark.parametrize("first", [OUT, APP])
@pytest.mark.parametrize("method", ["replace", "hardlink_to", "write_text", "unlink"])
@pytest.mark.parametrize("failing", [set[int](), {3}, {5}])
def test_wherever_it_is_killed_the_next_run_finishes_or_undoes(
    first: str, method: str, failing: set[int], leftovers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`failing` moves make it go back, and it is killed on the way; `first` is cleaned first."""
    for call in range(1, MOST_CALLS):
        with monkeypatch.context() as patch:

            def work(call: int = call, patch: pytest.MonkeyPatch = patch) -> None:
                at_call(patch, "replace", failing, fail)
                at_call(patch, method, {call}, lambda: os._exit(9))
                publish(leftovers)

            code = killed(work)
        for folder in (first, OUT, APP, NEW_APP):
            clean(leftovers / folder)
        state(leftovers)  # old or new
        for name in NAMES:
            (leftovers / OUT / name).write_text("old")
        (leftovers / APP / NAMES[0]).write_text("old")
        (leftovers / NEW_APP / NAMES[0]).unlink(missing_ok=True)
        if code != 9:
            break
    else:
        pytest.fail("it was killed each time")
    assert call > 1


def test_links_are_replaced_and_come_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = root / OUT / NAMES[0]
    link.unlink()
    link.symlink_to("nowhere")
    with monkeypatch.context() as patch:
        at_call(patch, "replace", {3}, fail)
        with pytest.raises(OSError, match="Input/output"):
            publish(root)
    assert link.readlink() == Path("nowhere")
    publish(root)
    assert state(root) == "new"


def test_file_systems_without_hard_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_call(monkeypatch, "hardlink_to", set(range(9)), fail)
    at_call(monkeypatch, "replace", {5}, fail)
    with pytest.raises(OSError, match="Input/output"):
        publish(root)
    assert state(root) == "old"


@pytest.mark.parametrize(
    "journal",
    [
        "{",
        "[]",
        '{"phase": "finish"}',
        '{"phase": "undo", "names": {"../victim": false}, "others": {}}',
        '{"phase": "undo", "names": {"..": false, "x/y": true}, "others": {}}',
        '{"phase": "undo", "names": {}, "others": {"ROOT/here": {"victim": false}}}',
        '{"phase": "undo", "names": [1], "others": {}}',
    ],
)
def test_a_journal_from_elsewhere_touches_nothing_else(journal: str, tmp_path: Path) -> None:
    scratch = tmp_path / "out" / f"{SCRATCH}evil"
    (scratch / FINISHED).mkdir(parents=True)
    (scratch / "lock").touch()
    (scratch / "journal.json").write_text(journal.replace("ROOT", str(tmp_path)))
    (tmp_path / "here").mkdir()
    (tmp_path / "victim").write_text("mine")
    clean(tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "mine"
