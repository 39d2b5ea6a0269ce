from __future__ import annotations

from typing import get_args

from exporter.notes import Note, NoteKind


def test_a_note_prints_what_it_is_about() -> None:
    assert str(Note("repair", "froze the module first")) == "repaired: froze the module first"
    assert str(Note("rejected-capture", "trace: differs")) == "capture not taken: trace: differs"
    assert str(Note("batch", "fixed at 1")) == "fixed at 1"


def test_notes_that_make_a_file_useless_are_warnings() -> None:
    warnings = {kind for kind in get_args(NoteKind) if Note(kind, "").is_warning}
    assert warnings == {"random-weights", "noise"}
