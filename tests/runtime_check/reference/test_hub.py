from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime_check.reference.hub import HubError, fetch, is_hub_id

CHECKPOINT = ("model.safetensors", "pytorch_model.bin")


def test_what_is_cached_needs_no_network(hub_cache: Any) -> None:
    folder = hub_cache("me/net", {"config.json": b"{}", "pytorch_model.bin": b"weights"})
    config, checkpoint = fetch("me/net", None, [("config.json",), CHECKPOINT])
    assert config == folder / "config.json"
    assert checkpoint.read_bytes() == b"weights"


def test_offline_is_said_with_its_reason(hub_cache: Any) -> None:
    hub_cache("me/net", {"config.json": b"{}"})
    with pytest.raises(HubError, match=r"cannot be reached.*HF_HUB_OFFLINE"):
        fetch("me/net", None, [("config.json",), CHECKPOINT])


def test_a_name_that_is_no_repository(hub_cache: Any) -> None:
    with pytest.raises(HubError, match=r"'a b/c/d'"):
        fetch("a b/c/d", None, [CHECKPOINT])


def test_hub_ids_are_told_by_their_prefix() -> None:
    assert is_hub_id("hf-hub:timm/resnet18.a1_in1k")
    assert is_hub_id("hf_hub:timm/resnet18.a1_in1k")
    assert not is_hub_id("timm/resnet18.a1_in1k")


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's HTTP interface that downloading a file takes."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        data = b"weights" if self.path == "/me/net/resolve/main/pytorch_model.bin" else None
        if data is None:
            self.send_response(404)
            known = self.path.startswith("/me/net/")
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        else:
            self.send_response(200)
            self.send_header("ETag", hashlib.sha1(data).hexdigest())
            self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        return data or b""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(endpoint: str, cache: Path, repository: str, *names: str, most: int | None = None) -> str:
    """Fetch in a fresh process: the client reads the endpoint once, when it is imported."""
    code = (
        "import sys, json\n"
        "from runtime_check.reference.hub import HubError, fetch\n"
        "repository, names, most = json.loads(sys.argv[1])\n"
        "try: print(fetch(repository, None, [names], most=most)[0].read_text())\n"
        "except HubError as error: print(error)\n"
    )
    where = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps([repository, names, most])],
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **where},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_the_first_name_the_repository_has_is_downloaded(endpoint: str, tmp_path: Path) -> None:
    assert ask(endpoint, tmp_path, "me/net", *CHECKPOINT) == "weights"
    # Again, from the cache: nothing listens at this address.
    assert ask("http://127.0.0.1:9", tmp_path, "me/net", *CHECKPOINT) == "weights"


def test_a_file_that_is_too_large_is_not_downloaded(endpoint: str, tmp_path: Path) -> None:
    said = ask(endpoint, tmp_path, "me/net", *CHECKPOINT, most=6)
    assert said == "pytorch_model.bin of me/net on the hub has 7 bytes, more than 6"
    assert not list(tmp_path.rglob("pytorch_model.bin"))
    assert ask(endpoint, tmp_path, "me/net", *CHECKPOINT, most=7) == "weights"


def test_what_the_hub_refuses_is_said(endpoint: str, tmp_path: Path) -> None:
    assert ask(endpoint, tmp_path, "me/net", "a", "b") == "me/net on the hub has no a or b"
    assert "has no repository me/other" in ask(endpoint, tmp_path, "me/other", "a")


def test_an_unreachable_hub_is_named_as_such(tmp_path: Path) -> None:
    said = ask("http://127.0.0.1:9", tmp_path, "me/net", *CHECKPOINT)
    assert "cannot be reached from here" in said
    assert "refused" in said
