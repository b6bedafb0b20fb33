"""Pictures of strangers: what is wrong with one is said together with what mends just that."""

import io

import numpy as np
import pytest
from PIL import Image

from sparring.data.cleaning import clean
from sparring.errors import DataError


def written(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def large():
    file = io.BytesIO()
    Image.new("1", (12000, 9000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "data, mended",
    [
        (large, "at most 64 megapixels"),
        (lambda: written(NOISE)[:6000], "damaged or cut off"),
        (lambda: written(NOISE)[:40], "damaged or cut off"),
        (lambda: written(NOISE, "JPEG")[:1500], "damaged or cut off"),
        (lambda: b"", "again"),
        (lambda: b"hello", "a PNG or a JPEG"),
        (lambda: written(np.zeros((2, 4000), np.uint8)), "cut"),
    ],
)
def test_what_to_do_fits_what_is_wrong(data, mended):
    with pytest.raises(DataError) as caught:
        clean(data())
    assert mended in caught.value.fix


def test_a_good_picture_stays_as_it_is():
    assert (np.asarray(Image.open(io.BytesIO(clean(written(NOISE))))) == NOISE).all()
