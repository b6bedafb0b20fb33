"""Child processes: answers, errors, limits, deaths, and no one left behind."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from sparring.app.worker import Limits, Worker
from sparring.errors import SparringError


def test_a_worker_answers_with_bytes():
    worker = Worker("decode", limits=Limits())
    try:
        file = io.BytesIO()
        Image.new("RGB", (5, 3), "red").save(file, "PNG")
        again = worker.ask("decode", data=file.getvalue())
        with Image.open(io.BytesIO(again)) as image:
            assert image.size == (5, 3) and image.mode == "RGB"
        with pytest.raises(SparringError) as caught:
            worker.ask("decode", data=b"no picture")
        assert caught.value.code == "PICTURE"
    finally:
        worker.close()
