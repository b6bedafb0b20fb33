"""The documents are true: their commands and examples run, their links lead somewhere.

Blocks of ``sh`` and ``python`` are run in order, file by file, in an empty directory with a folder ``photos/``. A
comment just before a block can say ``<!-- not run: reason -->``; or ``<!-- tested with "a" as "b" -->``, to do less;
or ``<!-- file: name -->``: the block is not run but kept under that name, for the blocks that follow.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"(?P<marks>(?:^<!--.*?-->\n+)*)^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.M | re.S)
FILE = re.compile(r"<!-- file: ([\w.-]+) -->")
INSTEAD = re.compile(r"<!-- tested with \"(.*?)\" as \"(.*?)\" -->")


def blocks(path):
    """(line, language, text to run) of every block that is to be run; files are written where we are."""
    text = path.read_text("utf-8")
    for match in BLOCK.finditer(text):
        marks, language, body = match["marks"], match["language"], match["body"]
        assert language in ("sh", "console", "python", "yaml", "json", "toml", "text"), f"{path.name}: ```{language}"
        if "<!-- not run:" in marks or language not in ("sh", "console", "python"):
            continue
        if name := FILE.search(marks):
            Path(name[1]).write_text(body, "utf-8")
            continue
        for written, tested in INSTEAD.findall(marks):
            assert written in body, f"{path.name}: {written!r} is not in the block it is said of"
            body = body.replace(written, tested)
        if language == "console":
            body = "".join(f"{line[2:]}\n" for line in body.splitlines() if line.startswith("$ "))
        yield text.count("\n", 0, match.start("body")) + 1, language, body


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photographs: smooth, all different, of different shapes."""
    folder = tmp_path_factory.mktemp("desk") / "photos"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for k in range(80):
        pixels = Image.fromarray(chance.integers(0, 256, (5, 5, 3), np.uint8))
        pixels.resize((72 + k % 5, 70)).save(folder / f"{k:03d}.png")
    return folder


@pytest.fixture
def desk(photos, tmp_path, monkeypatch, forked, quick_processes):
    """An empty directory with photographs."""
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    places = [str(forked.folder), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(places))
    return tmp_path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_run(path, desk):
    names = {"__name__": "__document__"}
    for line, language, body in blocks(path):
        where = f"{path.name}, line {line}"
        if language == "python":
            exec(compile("\n" * (line - 1) + body, str(path), "exec"), names)
        else:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", body], capture_output=True, text=True)
            assert done.returncode == 0, (
                f"{where}: exit code {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
            )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8")):
        if not target.startswith(("https://", "http://", "mailto:")):
            assert (path.parent / target).exists(), target
