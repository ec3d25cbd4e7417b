"""Mentions and links by the modules that the real server serves, and odd times in a real import."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.cases.commands import PATIENCE_S, run, serve

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "vectors.json").read_text(encoding="utf-8")
)
_PROGRAM = """
import { readFileSync } from "node:fs";
import { segments } from "./text.js";
const { mentions, links } = JSON.parse(readFileSync(0, "utf-8"));
const found = (text, name, wanted) =>
  segments(text, name).flatMap(({ kind, text }) => (kind === wanted ? [text] : []));
console.log(JSON.stringify([
  mentions.map(({ text, name }) => found(text, name, "mention")),
  links.map(({ text }) => found(text, "", "link")),
]));
"""


def test_mentions_and_links_match_the_test_vectors(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    with serve(tmp_path, "--journal", "memory") as server:
        for name in ("text.js", "code.js"):  # text.js imports no other module
            with urlopen(f"http://{server.address}/static/{name}", timeout=PATIENCE_S) as answer:
                (tmp_path / name).write_bytes(answer.read())
    (tmp_path / "package.json").write_text('{"type":"module"}')
    (tmp_path / "run.js").write_text(_PROGRAM)
    done = subprocess.run(
        [node, tmp_path / "run.js"],
        input=json.dumps(VECTORS).encode(),
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    called, links = json.loads(done.stdout)
    assert dict(zip(_abouts("mentions"), called, strict=True)) == _wanted("mentions", "called")
    assert dict(zip(_abouts("links"), links, strict=True)) == _wanted("links", "links")


def _abouts(name: str) -> list[str]:
    return [vector["about"] for vector in VECTORS[name]]


def _wanted(name: str, field: str) -> dict[str, list[str]]:
    return {vector["about"]: vector[field] for vector in VECTORS[name]}


def test_an_import_refuses_a_time_beyond_the_calendar(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    lines = [
        {"type": "trio_chat_journal", "version": 1, "refs": False},
        {"type": "room", "room": "lobby", "epoch": "e", "first": 1, "head": 1, "topic": ""},
        {"type": "said", "room": "lobby", "seq": 1, "at": 9_000_000_000_000_000, "by": "ada", "text": "hi"},
        {"type": "end", "rooms": 1, "entries": 1},
    ]
    export = "".join(json.dumps(line) + "\n" for line in lines).encode()
    done = run(tmp_path, "journal", "import", f"--journal={journal}", "-", stdin=export)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "line 3 has an invalid at: got 9000000000000000, expected 0 to 253402300799999" in line
