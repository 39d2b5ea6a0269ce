"""Fill the templates in `templates/`: pages and drawings of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .files import write_whole
from .printable import printable

TEMPLATES = Path(__file__).parent / "templates"


def shown(value: object) -> object:
    """Spell out the control characters of a text that a template shows (jinja2's `finalize`)."""
    if not isinstance(value, str):
        return value
    safe = printable(value, lines=True)
    return value if safe == value else type(value)(safe)  # what is markup stays markup


def write_page(template: str, values: Mapping[str, object], path: Path) -> None:
    """Fill `template` with `values`, escaped for HTML and XML, and write it to `path`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    write_whole(path, environment.get_template(template).render(values))
