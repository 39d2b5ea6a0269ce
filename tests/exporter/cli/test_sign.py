"""Keys and signatures from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_models import ConvNormNet

import exporter
from exporter.package.keys import make_keys

from .conftest import Done

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("out")
    return exporter.export(ConvNormNet(), out=out, input_shape=(1, 3, 8, 8)).path


def test_keygen_sign_and_verify(run: Run, exported: Path, tmp_path: Path) -> None:
    file, name = Path(shutil.copy(exported, tmp_path)), tmp_path / "release"
    made = run("keygen", str(name))
    assert made.code == 0
    line = made.out.split()[-1]
    done = run("sign", str(file), "--key", f"{name}.key")
    assert done.code == 0
    assert line in done.out
    shown = " ".join(run("inspect", str(file)).out.split())
    assert "not verified" in shown
    for key in (line, f"{name}.pub"):
        seen = run("inspect", str(file), "--verify-key", key, "--json")
        signature = json.loads(seen.out)["signature"]
        assert signature["verified"] is True
        assert signature["key_id"] in made.out + Path(f"{name}.pub").read_text()


def test_json(run: Run, exported: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(exported, tmp_path))
    made = json.loads(run("keygen", str(tmp_path / "a"), "--json").out)
    assert Path(made["secret"]).read_bytes().startswith(b"untrusted comment: ")
    done = json.loads(run("sign", str(file), "--key", made["secret"], "--json").out)
    assert (done["key_id"], done["public_key"]) == (made["key_id"], made["public_key"])


def test_inspect_refuses_what_nobody_vouched_for(run: Run, exported: Path, tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "a")
    assert "none" in run("inspect", str(exported)).out.split("takes")[0]
    refused = run("inspect", str(exported), "--verify-key", keys.key.line)
    assert refused.code == 2
    assert refused.out == ""
    assert "is not signed" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sign", "FILE"], "--key"),
        (["sign", "FILE", "--key", "absent.key"], "The key absent.key cannot be read"),
        (["sign", "absent.ptl", "--key", "KEY"], "There is no file"),
        (["sign", "FILE", "--key", "PUB"], "is no secret key"),
        (["keygen", "NAME"], "There is a"),
        (["inspect", "FILE", "--verify-key", "nonsense"], "no public key in nonsense"),
        (["inspect", "FILE", "--verify-key", "KEY"], "not a public key of minisign"),
    ],
)
def test_what_goes_wrong_is_one_paragraph(
    run: Run, exported: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    keys = make_keys(tmp_path / "a")
    known = {
        "FILE": exported, "KEY": keys.secret, "PUB": keys.public, "NAME": tmp_path / "a",
    }  # fmt: skip
    before = exported.read_bytes()
    done = run(*(str(known.get(a, a)) for a in arguments))
    assert done.code == 2
    assert words in " ".join(done.err.split())
    assert exported.read_bytes() == before
