"""Files that pretend to be models. Each is refused in a sentence, and while it is read nothing is imported, opened, or
called; nor while opcodes of benign files are changed. `make proof-foreign` does the same at length.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.proofs import foreign
from benchmarks.proofs.hostile import payloads
from sparring.cli import main
from sparring.export.foreign import reader, sandbox, tensors
from sparring.export.foreign.names import Refused


@pytest.fixture(scope="module")
def watch() -> foreign.Watch:
    return foreign.Watch()


def test_every_hostile_file_is_refused(tmp_path: Path, watch: foreign.Watch) -> None:
    canary = tmp_path / "canary"
    files = payloads(canary)
    assert len(files) >= 170
    watch.seen.clear()
    for name, data in files.items():
        with pytest.raises(Refused) as error, watch.on():
            named, _ = reader.found(memoryview(data), io.BytesIO(data))
            tensors.affordable(named, len(data))
        reason = str(error.value)
        assert 10 < len(reason) < 250 and reason.isprintable(), (name, reason)
    assert not canary.exists() and not watch.seen


def test_they_would_do_harm(tmp_path: Path) -> None:
    """Opened in the usual way, they make the canary."""
    for name in ("calls os.mkdir", "INST", "OBJ", "protocol 0", "its name from the memo", "in a snapshot"):
        canary = tmp_path / name.replace(" ", "-")
        with contextlib.suppress(ImportError, TypeError):  # what comes after the harm
            pickle.loads(payloads(canary)[name])
        assert canary.exists(), name


def test_mutations_of_benign_files_execute_nothing(watch: foreign.Watch) -> None:
    done = foreign.try_mutations(210, watch, seed=1)
    assert not done["failures"] and done["refused"] > 150 and done["refused"] + done["still models"] == 210


def test_benign_files_are_read_whatever_their_protocol() -> None:
    sizes = {name: foreign.read(data) for name, data in foreign.benign().items()}
    assert len(set(list(sizes.values())[:3])) == 1 and all(sizes.values())


def test_the_command_says_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through a process of its own; what is left behind is nothing."""
    files = payloads(tmp_path / "canary")
    for name in ("calls subprocess.Popen", "4 TB in 1.6 KB"):
        (tmp_path / "G.pkl").write_bytes(files[name])
        assert main(["convert", str(tmp_path / "G.pkl"), "--out", str(tmp_path / "run")]) == 4
        said = capsys.readouterr().err
        assert said.count("why:") == 1 and "CONVERT-FILE" in said and "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["G.pkl"]


def test_the_process_that_reads_has_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, an empty directory, no way to what lies beside the file; and limits that hold."""
    seen: dict[str, object] = {}

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        seen.update(options, command=command, there=os.listdir(str(options["cwd"])))
        return subprocess.CompletedProcess(command, 3, json.dumps({"why": "as it is"}).encode())

    monkeypatch.setattr(sandbox.subprocess, "run", run)
    (tmp_path / "G.pkl").write_bytes(b"x")
    with pytest.raises(sandbox.CheckpointError, match="as it is"):
        sandbox.read(tmp_path / "G.pkl")
    assert seen["command"][1:3] == ["-P", "-I"] and seen["there"] == []  # type: ignore[index]
    assert set(seen["env"]) <= {*sandbox._KEPT, "OPENBLAS_NUM_THREADS"}  # type: ignore[call-overload]
    monkeypatch.undo()
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from sparring.export.foreign.reader import limit\n"
        "limit(1000)\n"
        "for reach in (lambda: bytearray(2 * 10**9), lambda: open('large', 'wb').write(b'0' * 2**22)):\n"
        "    try: reach()\n"
        "    except (MemoryError, OSError) as error: print(type(error).__name__)\n"
        "assert not {'torch', 'pickle'} & set(sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + code],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["MemoryError", "OSError"]
