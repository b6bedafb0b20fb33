"""Rows of `metadata.jsonl` and `metadata.csv` with their line numbers; what is wrong with a line, in clear words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from sparring.data.report import brief
from sparring.errors import DataError

OR_REMOVE = "or remove the file"


def jsonl_rows(data: bytes, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank."""
    _refuse_utf16(data, where)
    for line, raw in enumerate(io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), 1):
        if not raw.strip():
            continue
        try:
            row = json.loads(raw.strip().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise unclear(where, f"line {line} is not UTF-8", "save the file as UTF-8") from error
        except json.JSONDecodeError as error:  # its own line numbers begin with this line
            what = f"line {line} is not JSON: {error.msg} (column {error.colno})"
            raise unclear(where, what, f"mend line {line}: one JSON object on each line") from error
        except (ValueError, RecursionError) as error:
            raise unclear(where, f"line {line} is not JSON: {error}", "one JSON object on each line") from error
        if not isinstance(row, dict):
            raise unclear(where, f"line {line} is not a JSON object", 'one object on each line: {"file_name": …}')
        yield line, row


def csv_rows(data: bytes, where: str, image: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, cells by column) of each row that is not blank; separated by comma, semicolon or tab."""
    _refuse_utf16(data, where)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise unclear(where, f"line {line} is not UTF-8", "save the file as UTF-8") from error
    head = text.split("\n", 1)[0]
    between = next((mark for mark in ",;\t" if image in (cell.strip().strip('"') for cell in head.split(mark))), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if twice := [name for name in header if name and header.count(name) > 1]:
                    raise unclear(where, f"two columns are called {brief(twice[0])!r}", "rename one")
                continue
            if len(cells) != len(header):
                raise unclear(where, f"line {reader.line_num} has {len(cells)} cells, the header {len(header)}",
                           'put cells that hold a separator in quotes: "a cat, sleeping"')  # fmt: skip
            yield reader.line_num, dict(zip(header, cells))
    except csv.Error as error:
        raise unclear(where, f"line {reader.line_num}: {error}", "check the quotes in this line") from error


def _refuse_utf16(data: bytes, where: str) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise unclear(where, "it is UTF-16, not UTF-8", "save the file as UTF-8")


def unclear(where: str, why: str, fix: str) -> DataError:
    return DataError("DATA-METADATA", "this file cannot be understood", where=where, why=why, fix=f"{fix}, {OR_REMOVE}")
