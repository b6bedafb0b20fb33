"""Rows 44, 45, 48, 51, 52 and 54 of the matrix of bad inputs (issue 3, "2B. Config and CLI"): recipe files and runs.

Each test names its row.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring import api
from sparring.errors import CheckpointError, DataError, SparringError, UsageError
from sparring.runs import document as documents
from sparring.runs.directory import RunDirectory, written
from sparring.runs.document import parse, read, scalar
from sparring.runs.recipe import load, plain
from sparring.train.checkpoint import Store
from sparring.train.schedule import Ramp
from sparring.types import Alarm, Done, Saved, Turn

GAN = "recipe: gan\nconfig:\n  batch: 16\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 64 points in batches of 16; never change it."""
    out = tmp_path_factory.mktemp("trained") / "ring"
    api.train("ring", recipe="gan", out=out, budget="64", set=["width=8", "batch=16"], device="cpu", threads=1)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "ring"))


def refused(path: Path) -> str:
    """The sentence with which a recipe file is refused, which must be the same for the recipe.yaml of a run."""
    with pytest.raises(UsageError) as told:
        load(str(path))
    (path.parent / "run").mkdir(exist_ok=True)
    shutil.copy(path, path.parent / "run" / "recipe.yaml")
    with pytest.raises(CheckpointError) as told_of_run:
        RunDirectory(path.parent / "run").document()
    assert told.value.exit_code == 2 and told_of_run.value.exit_code == 4
    if told.value.code == "RECIPE-YAML":
        assert told.value.why in told_of_run.value.why
    return str(told.value)


# ── 44 · wrong type, 45 · whole numbers for betas ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("lr: 1e-4", "lr", 1e-4),
        ('lr: "1e-4"', "lr", 1e-4),
        ("lr: 1.0e-4", "lr", 1e-4),
        ("lr: 1", "lr", 1.0),
        ("lr: 1e-3 -> 1e-5 linear", "lr", {"start": 1e-3, "end": 1e-5, "shape": "linear", "begin": 0.0, "until": 1.0}),
        ("lr: {start: 1e-3, end: 1e-5}", "lr",
         {"start": 1e-3, "end": 1e-5, "shape": "cosine", "begin": 0.0, "until": 1.0}),
        ("batch: 16.0", "batch", 16),
        ('batch: "16"', "batch", 16),
        ("batch: +16", "batch", 16),
        ("flip: yes", "flip", True),
        ("flip: No", "flip", False),
        ("flip: off", "flip", False),
        ("ema_images: 1e4", "ema_images", 10_000.0),
        ("ema_images: 5000", "ema_images", 5000.0),
        ("d_fourier: [8, 1, 5e1]", "d_fourier", [8, 1.0, 50.0]),
        ("d_fourier: ~", "d_fourier", None),
        ("play: D:2,G:1", "play", "D:2,G:1"),
    ],
)  # fmt: skip
def test_row_44_what_has_one_meaning_is_understood(text: str, key: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"recipe: gan\nconfig:\n  {text}\n")
    found = plain(load(str(tmp_path / "r.yaml")).config)[key]
    assert found == value and type(found) is type(value)
    name, _, given = text.partition(": ")
    assert plain(load("gan", [f"{name}={given}"]).config)[key] == value


@pytest.mark.parametrize("word", ["010", "0x10", "0b1", "1:30", "1_000", "1e5", "yes", "no", "on", "NO", "2024-01-01"])
def test_row_44_what_versions_of_yaml_read_differently_stays_text(word: str) -> None:
    assert scalar(word) == word
    assert parse(f"a: {word}", "x").values == {"a": word}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_row_44_what_a_run_writes_is_read_back(value: Any) -> None:
    """recipe.yaml is written by PyYAML and read by `parse`: the two must agree on what is a number and what is text."""
    found = parse(written({"value": value}), "x").values["value"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "name", ["1e5", "yes", "010", "caf\xe9", "a\x85b\u2028c", "\udc80.png", "- a: *b", "~", "🐚 #1"]
)
def test_row_44_names_of_data_are_read_back(name: str) -> None:
    text = written({"source": name})
    assert parse(text.encode().decode(), "x").values == {"source": name}
    assert ("\\" in text) == (not name.isprintable())  # plain letters wherever they can be


def test_row_45_betas_written_as_whole_numbers_are_floats(tmp_path: Path) -> None:
    """torch refuses a mixture of int and float: it never sees one."""
    (tmp_path / "r.yaml").write_text("recipe: gan\nconfig: {beta1: 0, beta2: 0, lr: 1, width: 4, batch: 8}\n")
    config = load(str(tmp_path / "r.yaml")).config
    for ramp in (config.beta1, config.beta2, config.lr):
        assert isinstance(ramp, Ramp) and type(ramp.start) is float and type(ramp.end) is float
    made = api.plan("ring", recipe=str(tmp_path / "r.yaml"), set=["beta2=0.99", "lr=1e-4"], budget="64", device="cpu")
    assert made.recipe.config.beta1.start == 0.0 and made.rate > 0  # a few rounds were played with it


# ── 48 · files that are no recipes ────────────────────────────────────────────────────────────────────────────────

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)
BROKEN: dict[str, tuple[bytes | str, str]] = {
    "a bomb of aliases": (LAUGHS, "at most 10,000 values"),
    "an alias of itself": ("recipe: &a [*a]", "refers to nothing before it, or to itself"),
    "a Python object": ("recipe: !!python/object/apply:os.system [ls]", "tags such as"),
    "a tag": ("recipe: !!binary aGk=", "tags such as"),
    "a tab": ("recipe: gan\nconfig:\n\tbatch: 3", "line 3, column 1"),
    "a key that occurs twice": (GAN + "  batch: 32\n", "batch stands here and on line 3"),
    "a section that occurs twice": (GAN + "config:\n  z: 3\n", "config stands here and on line 2"),
    "a quote that is not closed": (GAN + '  play: "D:1\n', "quoted scalar"),
    "two documents": (GAN + "---\n" + GAN, "second document"),
    "depth in brackets": ("recipe: " + "[" * 10_000, "more than 20 deep"),
    "depth in braces": ("{a: " * 10_000, "more than 20 deep"),
    "depth in lines": ("".join(" " * i + "a:\n" for i in range(1000)), "more than 20 deep"),
    "depth in dashes": ("- " * 10_000, "more than 20 deep"),
    "a list as a key": ("? [a]\n: 3\n", "name of a setting"),
    "an alias as a key": ("a: &a x\n*a : 3\n", "name of a setting"),
    "an escape beyond Unicode": ('recipe: "\\UFFFFFFFF"', "YAML cannot be used"),
    "a control character": ("recipe: gan\nconfig: {}\n\x07", "line 3"),
    "a NUL": (b"recipe: gan\0", "does not allow"),
    "latin-1": (b"recipe: gan\n# caf\xe9\n", "line 2"),
    "half of a UTF-16": (b"\xff\xfer\0e", "recipe"),
    "pixels": (bytes(range(256)), "RECIPE-YAML"),
    "an empty file": ("", "is empty"),
    "only a comment": ("# nothing\n", "is empty"),
    "a word": ("gan", "which method"),
    "a list": ("- gan\n", "which method"),
    "a number as the method": ("recipe: 3", "which method"),
    "no method": ("config: {batch: 3}", "which method"),
    "a list of settings": ("recipe: gan\nconfig: [1]", "config is a mapping"),
    "a merge": ("recipe: gan\nconfig:\n  <<: {batch: 3}\n", "no such setting"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_row_48_what_is_no_recipe_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    data, words = BROKEN[kind]
    path = tmp_path / "r.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    began = time.process_time()
    assert words in refused(path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("kind", ["a bomb of aliases", "a Python object", "depth in brackets", "latin-1", "a NUL"])
def test_row_48_the_page_of_a_run_names_what_it_cannot_read(kind: str, run: Path) -> None:
    """The same reader there: a bomb in recipe.yaml costs the page a section, not the machine its memory."""
    data, _ = BROKEN[kind]
    (run / "recipe.yaml").write_bytes(data if isinstance(data, bytes) else data.encode())
    assert "recipe.yaml could not be read" in api.report(run).read_text("utf-8")


def test_row_48_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "r.yaml").open("wb") as file:
        file.truncate(100 * 2**20)
    monkeypatch.setattr(documents, "parse", lambda *_: pytest.fail("it was parsed"))
    assert "at most 1,000,000 bytes" in refused(tmp_path / "r.yaml")


def test_row_48_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match="not a file"):
        read(tmp_path / "folder.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GAN.encode(),  # Windows' mark
        GAN.replace("\n", "\r\n").encode(),
        GAN.replace("\n", "\r").encode(),
        GAN.encode("utf-16"),
        b"%YAML 1.1\n---\n" + GAN.encode() + b"...\n",
        b'{"recipe": "gan", "config": {"batch": 16}}',
        b'{\n\t"recipe": "gan",\n\t"config": {"batch": 16}}',
        b"recipe: gan\nconfig: {batch: &n 16, z: *n}\n",  # a few aliases are fine
        b"recipe: gan\nsparring: 0.1.0\nconfig:\n  batch: 16\n",
    ],
)
def test_row_48_other_ways_to_write_the_same_are_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(data)
    assert load(str(tmp_path / "r.yaml")).config.batch == 16
    (tmp_path / "r.json").write_bytes(data)
    assert load(str(tmp_path / "r.json")).config.batch == 16


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_row_48_any_file_is_a_recipe_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: str | bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode(errors="surrogatepass"))
    with pytest.raises(UsageError):
        load(str(path))


@pytest.mark.skipif(documents._QUICK is None, reason="PyYAML was built without libyaml")
def test_row_48_the_quick_parser_reads_what_the_other_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets, and texts in which the two differ: those are left to PyYAML's own."""
    presets = [path.read_text("utf-8") for path in Path(documents.__file__).parents[1].rglob("*.yaml")]
    odd = [
        "a:\t1",
        "a: >1#",
        "|#",
        "!",
        "\n\ufeffa: 1",
        "a: b\u2028c",
        "{a?>: 1}",
        "a: [1, 2",
        "a: *b",
        "- é: 010\n- [{}]",
    ]

    def found(text: str) -> object:
        try:
            return documents._parsed.__wrapped__(text, "r.yaml")
        except UsageError as error:
            return str(error)

    quick = [found(text) for text in (*presets, *odd)]
    assert not any(documents._ODD.search(text) for text in presets)
    monkeypatch.setattr(documents, "_QUICK", None)
    assert [found(text) for text in (*presets, *odd)] == quick


# ── 51 · other versions: see also tests/cli/test_rows.py ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("said", ["sparring: 9.1", "run: {sparring: 9.1.0.dev1}"])
@pytest.mark.parametrize(
    "news", ["config: {hyper: 1}", "config: {objective: unheard-of}", "teachers: [a]", "config: {z: a}"]
)
def test_row_51_what_the_future_says_asks_for_an_upgrade(said: str, news: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"recipe: gan\n{said}\n{news}\n")
    with pytest.raises(UsageError) as told:
        load(str(tmp_path / "r.yaml"))
    assert "written by sparring 9.1" in told.value.fix and "upgrade" in told.value.fix and "line 3" in str(told.value)
    (tmp_path / "r.yaml").write_text(f"recipe: hypergan\n{said}\n")
    with pytest.raises(UsageError, match="upgrade"):
        load(str(tmp_path / "r.yaml"))


# ── 52 · a run whose recipe.yaml was edited ───────────────────────────────────────────────────────────────────────

ANOTHER: dict[str, Any] = {
    "play": "D:2,G:1", "optimiser": "sgd", "precision": "bf16", "memory_format": "channels_last",
    "objective": "minimax", "penalty": "r1", "network": "pacgan",
    "g_fourier": [4, 1.0, 2.0], "d_fourier": [4, 1.0, 2.0], "micro_batches": 2, "beta2": 0.9,
    "data.kind": "images", "data.shape": [3], "data.crop": "pad", "data.labels": "none", "data.frames": "all",
    "data.size": [16, 16], "data.channels": 3, "data.levels": [0.0, 1.0], "data.columns": [["label", "x"]],
    "data.classes": ["a"], "data.background": [0, 0, 0], "data.source": "grid", "data.keep": "off",
    "data.on_bad": "stop", "data.limits": {"min_side": 9, "max_aspect": 4.0, "max_pixels": 10**6},
    "data.into": "grid", "data.pairs": "none", "data.direction": "BtoA", "data.given_channels": 1, "data.maps": "A",
    "data.palette": "cmp", "data.binarise": "static", "data.fingerprint": "0" * 32, "run.device": "cuda",
    "run.torch": "1.0", "run.images": 160,
}  # fmt: skip
"""Another value for each key of recipe.yaml that has no obvious one."""
TOLD = {
    "run.rate", "run.preset", "run.why", "run.sparring", "run.rescue", "data.keep", "data.on_bad"
}  # fmt: skip
"""Keys that decide no number of a healthy run: notes about the run, what is done about trouble, where things are kept
and told. The flags of `resume` change them too."""


def keys() -> list[str]:
    """Every key of a run's recipe.yaml, settings by their bare names."""
    config = [field.name for field in dataclasses.fields(load("gan").config)]
    made = api.plan("ring", recipe="gan", set=["width=8", "batch=16"], budget="64", device="cpu", threads=1)
    document = made.document()
    return [*config, *(f"data.{key}" for key in document["data"]), *(f"run.{key}" for key in document["run"])]


def other(key: str, value: Any) -> Any:
    if key in ANOTHER:
        return ANOTHER[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1 if isinstance(value, int) else value / 2 + 0.01
    return f"{value}x"


def test_row_52_every_key_is_applied_and_said_or_refused_with_the_difference(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key of recipe.yaml is changed, one at a time; none is ignored, and what is refused touches nothing."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    outcomes: dict[str, str] = {}
    threads = torch.get_num_threads()
    for key in keys():
        run = Path(shutil.copytree(trained, tmp_path / key))
        document = yaml.safe_load((run / "recipe.yaml").read_text())
        part, _, name = key.rpartition(".")
        place = document[part or "config"]
        old, new = place[name], other(key, place[name])
        assert old != new, key
        place[name] = new
        (run / "recipe.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
        try:
            events = list(api.resume_steps(run, budget=None if key == "run.images" else "+16", device=None))
        except SparringError as error:
            kinds = (CheckpointError, DataError, *[UsageError] * (key == "network"))  # pacgan's has no width of its own
            assert isinstance(error, kinds), f"{key}: {error}"
            assert key in str(error) or (key == "data.source" and error.code == "DATA-CHANGED"), f"{key}: {error}"
            outcomes[key] = error.code
            after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
            assert after == before, key
        else:
            assert isinstance(events[-1], Done) and events[-1].images == (160 if key == "run.images" else 80)
            told = [event.message for event in events if isinstance(event, Alarm)]
            assert key in TOLD or key == "run.images" or any(name in line for line in told), f"{key}: {told}"
            outcomes[key] = "applied"
        finally:
            torch.set_num_threads(threads)
    applied = {key for key, outcome in outcomes.items() if outcome == "applied"}
    assert applied == TOLD | {
        "lr", "lr_ratio", "beta1", "beta2", "gamma", "noise", "ema_images", "ema_share", "micro_batches", "flip",
        "precision", "memory_format", "run.images", "run.threads", "run.device", "run.processes", "run.torch",
    }  # fmt: skip
    assert outcomes["width"] == outcomes["batch"] == outcomes["run.seed"] == outcomes["data.crop"] == "RUN-EDITED"


def test_row_52_a_changed_width_shows_a_table_of_what_does_not_fit(run: Path) -> None:
    """Where nothing but the weights can tell, they do: a run that is used, not trained."""
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace("width: 8", "width: 12"))
    with pytest.raises(CheckpointError, match="width: 8 in the checkpoint, 12 in recipe.yaml") as told:
        list(api.resume_steps(run))
    assert told.value.exit_code == 4
    with pytest.raises(CheckpointError) as told:
        api.load(run)
    assert told.value.exit_code == 4 and told.value.why.count("in the checkpoint") > 3


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("run", "seed", None), ("run", "seed", -1), ("run", "seed", 2**63), ("run", "seed", "x"), ("run", "seed", True),
        ("run", "images", 0), ("run", "images", "many"), ("run", "horizon", 1.5), ("run", "threads", 10**9),
        ("run", "threads", 0), ("data", "shape", "x"), ("data", "source", None), ("data", "classes", 3),
        ("data", "held_out", "x"), (None, "run", None), (None, "data", []), (None, "config", "x"),
    ],
)  # fmt: skip
def test_row_52_a_run_that_lacks_what_it_needs_says_what(part: str | None, key: str, value: object, run: Path) -> None:
    document = yaml.safe_load((run / "recipe.yaml").read_text())
    place = document[part] if part else document
    if value is None:
        del place[key]
    else:
        place[key] = value
    (run / "recipe.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    for use in (lambda: list(api.resume_steps(run)), lambda: api.load(run), lambda: api.info(run)):
        with pytest.raises(CheckpointError, match="RUN-RECIPE") as told:
            use()
        assert f"{part}.{key}" in told.value.why or (part is None and key in told.value.why)


# ── 54 · large counters ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seen", [2**31 - 16, 2**32 - 16, 3_000_000_000, 999_999_999_888])
def test_row_54_counters_go_beyond_two_to_the_31(seen: int, run: Path) -> None:
    """A run that has seen more than 2^31 images goes on, counts exactly, and its files sort."""
    store = Store(run / "checkpoints")
    newest = store.newest()
    assert newest is not None and seen % 16 == 0
    tensors = {stem: newest.tensors(stem) for stem in newest.stems}
    store.save(seen, tensors, {**newest.state, "drawn": seen // 16, "round": 2**40})
    document = yaml.safe_load((run / "recipe.yaml").read_text())
    document["run"]["images"] = seen + 96
    (run / "recipe.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    events = list(api.resume_steps(run))
    assert events[-1] == Done(seen + 96, "budget")
    assert [event.round for event in events if isinstance(event, Turn)][-1] == 2**40 + 6
    assert [event.images for event in events if isinstance(event, Saved)][-1] == seen + 96
    names = sorted(path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal())
    assert int(names[-1]) == seen + 96 and names == sorted(names, key=int)
    grids = sorted(path.stem for path in (run / "samples").iterdir())
    assert grids == sorted(grids, key=int) and int(grids[-1]) == seen + 96
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["images"] == seen + 96
    assert api.load(run).images == seen + 96


def test_row_54_a_stream_is_exact_far_out() -> None:
    """Batches beyond 2^31 and 2^32 are what single samples say, each pass a permutation of all."""
    from sparring.data import open_data, stream_of

    dataset = open_data("ring")
    stream, count = stream_of(dataset, seed=3, flip=False), len(dataset.train)
    for start in (2**31 - 3, 2**32 - 3, 3_000_000_000, 10**12):
        together = stream.take(start, 6).x
        assert torch.equal(together, torch.cat([stream.take(start + k, 1).x for k in range(6)]))
    first = 3_000_000_000 // count * count
    whole = stream.take(first, count).x
    assert torch.equal(whole.sort(0).values, stream.take(0, count).x.sort(0).values)
