"""Laws of the log: each step exactly once, half lines are nobody's problem, a full disk stops nothing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from benchmarks.proofs.faults import Failing
from sparring.train.disk import Disk
from sparring.train.log import Log, read

RECORDS = [{"event": "turn", "images": 64 * i, "values": {"D/real": i / 7, "name": "Käse ✓"}} for i in range(8)]


def write_all(path: Path, records: list[dict[str, object]]) -> None:
    with Log(path) as log:
        for record in records:
            assert log.append(record) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_all(tmp_path / "log", RECORDS)
    assert list(read(tmp_path / "log")) == RECORDS


def test_numbers_that_json_does_not_have_become_null(tmp_path: Path) -> None:
    write_all(tmp_path / "log", [{"loss": float("nan"), "all": (1.0, float("-inf"))}])
    assert list(read(tmp_path / "log")) == [{"loss": None, "all": [1.0, None]}]
    json.loads((tmp_path / "log").read_text(), parse_constant=pytest.fail)


def test_cut_at_every_byte_the_reader_gives_the_whole_lines_and_appending_goes_on(tmp_path: Path) -> None:
    write_all(tmp_path / "whole", RECORDS[:4])
    data = (tmp_path / "whole").read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    path = tmp_path / "log"
    for size in range(len(data) + 1):
        whole = sum(end <= size for end in ends)
        path.write_bytes(data[:size])
        assert list(read(path)) == RECORDS[:whole]
        write_all(path, [RECORDS[5]])  # after the kill the run goes on without a cut
        assert list(read(path)) in ([*RECORDS[:whole], RECORDS[5]], [*RECORDS[: whole + 1], RECORDS[5]])


def test_after_a_resume_from_every_position_each_step_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for saved in range(len(RECORDS) + 1):
        for killed in range(saved, len(RECORDS) + 1):
            path.unlink(missing_ok=True)
            with Log(path) as log:
                positions = [log.position()]
                for record in RECORDS[:killed]:
                    log.append(record)
                    positions.append(log.position())
            with path.open("ab") as file:
                file.write(b'{"event": "tu')  # the kill came within a line
            with Log(path) as log:
                log.truncate(positions[saved])
                for record in RECORDS[saved:]:
                    assert log.append(record) is None
            assert list(read(path)) == RECORDS


def test_a_log_shorter_than_the_checkpoint_remembers_keeps_its_whole_lines(tmp_path: Path) -> None:
    write_all(tmp_path / "whole", RECORDS[:3])
    data, path = (tmp_path / "whole").read_bytes(), tmp_path / "log"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with Log(path) as log:
            log.truncate(len(data))
            assert log.append(RECORDS[7]) is None
        assert list(read(path)) == [*RECORDS[: data[:size].count(b"\n")], RECORDS[7]]


def test_a_page_of_zeros_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write_all(path, RECORDS[:2])
    with path.open("ab") as file:
        file.write(bytes(100))  # what some file systems leave after a power cut
    write_all(path, RECORDS[2:4])
    assert list(read(path)) == RECORDS[:4]


def test_a_full_disk_is_said_once_counted_and_leaves_no_half_line(tmp_path: Path) -> None:
    disk = Failing(2, lasting=True)  # open, append, then full
    with Log(tmp_path / "log", disk) as log:
        assert log.append(RECORDS[0]) is None
        first = log.append(RECORDS[1])
        assert first is not None and os.strerror(errno.ENOSPC) in first and "log" in first
        assert [log.append(record) for record in RECORDS[2:5]] == [None] * 3
        assert log.lost == 4
        disk.mended = True
        assert log.append(RECORDS[5]) is None
    assert list(read(tmp_path / "log")) == [RECORDS[0], RECORDS[5]]


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_line_half_taken_by_a_full_disk_harms_no_other(tmp_path: Path, can_cut: bool) -> None:
    class Filling(Disk):
        full = True

        def append(self, file: int, path: Path, data: bytes) -> int:
            return super().append(file, path, data[:9] if self.full else data)

        def cut(self, file: int, path: Path, size: int) -> None:
            if not can_cut:
                raise OSError(errno.EIO, "no")
            super().cut(file, path, size)

    disk = Filling()
    with Log(tmp_path / "log", disk) as log:
        assert "bytes" in (log.append(RECORDS[0]) or "")
        disk.full = False
        assert log.append(RECORDS[1]) is None
        assert log.append(RECORDS[2]) is None
        assert log.position() == (tmp_path / "log").stat().st_size
    assert list(read(tmp_path / "log")) == RECORDS[1:3]


def test_a_sync_that_fails_is_said_not_raised(tmp_path: Path) -> None:
    with Log(tmp_path / "log", Failing(1)) as log:
        assert "log" in (log.sync() or "")
        assert log.sync() is None
        assert log.append(RECORDS[0]) is None
