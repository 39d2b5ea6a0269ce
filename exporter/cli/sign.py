"""The commands about who vouches for a file: sign, keygen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from . import options
from .show import print_json, stdout


def sign(
    file: Annotated[Path, typer.Argument(help="A .ptl or .pte file; it is signed in place.")],
    key: Annotated[
        Path,
        typer.Option("--key", metavar="KEY", help="Secret key: minisign's file, or Ed25519 PEM."),
    ],
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Sign a `.ptl` or `.pte`: program, metadata and golden vectors together.

    `export --sign KEY` does the same in one step.
    """
    from ..package.sign import sign as run_sign

    public = run_sign(file, key)
    if json:
        print_json({"file": str(file), "key_id": public.key_id, "public_key": public.line})
    elif not quiet:
        stdout.print(Text(f"{file} is signed by key {public.key_id}"), soft_wrap=True)
        stdout.print(Text(f"public key: {public.line}"), soft_wrap=True)


def keygen(
    name: Annotated[Path, typer.Argument(help="NAME.key and NAME.pub are written.")],
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Make a pair of keys: NAME.key signs (keep it secret), NAME.pub verifies.

    They are minisign's, without a password. Files that are there are never overwritten.
    """
    from ..package.keys import make_keys

    made = make_keys(name)
    if json:
        print_json(
            {
                "secret": str(made.secret),
                "public": str(made.public),
                "key_id": made.key.key_id,
                "public_key": made.key.line,
            }
        )
    elif not quiet:
        stdout.print(Text(f"{made.secret} signs: keep it secret, it has no password"))
        stdout.print(Text(f"{made.public} verifies: {made.key.line}"), soft_wrap=True)
