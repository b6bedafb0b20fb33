"""Every number has a name, a unit and a meaning; what was scored is what is used; what is given out is explained."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

from sparring.health import thresholds
from sparring.health.thresholds import PATH, Thresholds, changed, lines, read, usual
from sparring.health.verdict import TITLES

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = ROOT / "benchmarks" / "results" / "calibration.json"
HEALTH = ROOT / "src" / "sparring" / "health"


def test_every_threshold_is_explained_with_its_unit():
    found = lines(PATH.read_text("utf-8"))
    assert [line.name for line in found] == [field.name for field in dataclasses.fields(Thresholds)]
    assert all(line.unit and len(line.means) > 10 for line in found)


def test_every_threshold_is_used():
    code = "".join(path.read_text("utf-8") for path in HEALTH.glob("*.py") if path.name != "thresholds.py")
    for field in dataclasses.fields(Thresholds):
        assert re.search(rf"\bt\.{field.name}\b", code), field.name


def test_what_is_scored_is_what_is_used():
    if not CALIBRATION.is_file():
        pytest.skip("no calibration has been scored yet: make bench-calibration")
    scored = json.loads(CALIBRATION.read_text("utf-8"))["thresholds"]
    assert scored == usual().digest(), "thresholds.yaml has changed: run make bench-calibration again"


def test_the_digest_is_of_values_not_of_comments(tmp_path):
    text = PATH.read_text("utf-8")
    (tmp_path / "other.yaml").write_text(text.replace("G is dead", "nothing moves") + "# the end\n", "utf-8")
    assert read(tmp_path / "other.yaml").digest() == usual().digest()
    (tmp_path / "other.yaml").write_text(changed(text, {"d_wins": 0.97}), "utf-8")
    other = read(tmp_path / "other.yaml")
    assert other.d_wins == 0.97 and other.digest() != usual().digest()
    assert dataclasses.replace(other, d_wins=usual().d_wins) == usual()


def test_other_values_leave_all_else_as_it_is():
    text = PATH.read_text("utf-8")
    new = changed(text, {"jump": 12.5, "leap": 60.0})
    differing = [(a, b) for a, b in zip(text.splitlines(), new.splitlines(), strict=True) if a != b]
    assert [b.split(" ")[0:2] for _, b in differing] == [["jump:", "12.5"], ["leap:", "60"]]
    assert changed(text, {}) == text
    with pytest.raises(ValueError, match="no threshold"):
        changed(text, {"jumping": 1.0})


@pytest.mark.parametrize(
    "broken",
    [lambda text: text.replace("leap:", "leep:"), lambda text: text + "jump: 3  # [times] twice\n",
     lambda text: re.sub(r"\nleap:.*", "", text), lambda text: text.replace("leap: ", "leap: about ")],
)  # fmt: skip
def test_a_wrong_file_is_refused(broken, tmp_path):
    text = PATH.read_text("utf-8")
    assert broken(text) != text
    (tmp_path / "t.yaml").write_text(broken(text), "utf-8")
    with pytest.raises(ValueError):
        read(tmp_path / "t.yaml")


def test_they_are_in_order():
    t = usual()
    assert (
        t.extreme <= t.collapse_diversity <= t.low_diversity and t.d_wins <= t.d_saturated and t.copies <= t.copies_hard
    )
    assert t.jump < t.leap and t.contrast_low < 1 < t.contrast_high and t.probes_sure <= t.probes
    assert t.constant < t.dead and t.penalty_low < 1 < t.penalty_high and t.d_fooled < 0.5 < t.d_wins


def test_rules_hold_no_numbers_of_their_own():
    """Comparisons in the rules are with thresholds; counts are none."""
    innocent = {0, 1, 2, 3}
    for name in ("collapse", "duel", "pictures", "trend"):
        tree = ast.parse((HEALTH / f"{name}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                for part in [node.left, *node.comparators]:
                    values = [n.value for n in ast.walk(part) if isinstance(n, ast.Constant)]
                    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
                    assert set(numbers) <= innocent, (name, node.lineno, numbers)


def test_every_verdict_is_explained_in_the_documents():
    text = (ROOT / "docs" / "doctor.md").read_text("utf-8")
    assert re.findall(r"^### ([A-Z-]+): (.+)$", text, re.M) == list(TITLES.items())
    for path in (ROOT / "docs" / "images" / "doctor").glob("*.webp"):
        assert path.stem.upper() in TITLES, path.name
        assert f"(images/doctor/{path.name})" in text, f"docs/doctor.md does not show {path.name}"
        assert path.stat().st_size < 60_000, path.name


def test_a_line_that_is_none_is_named():
    with pytest.raises(ValueError, match="line 2"):
        thresholds.lines("# a comment\nd_wins = 0.98\n")
