"""Which file of a repository belongs to which configuration and split."""

from __future__ import annotations

import pytest

from sparring.data.sources.layout import annotations_for, arrange, heaviest, is_partial, missing_parts, root_of


def arranged(*names: str, readme: str = "") -> dict[str, dict[str, list[str]]]:
    return arrange(dict.fromkeys(names, 100), readme).configs


@pytest.mark.parametrize(
    "name, config, split",
    [
        ("data/train-00000-of-00002.parquet", "default", "train"),
        ("data/train-00000-of-00002-0123456789abcdef.parquet", "default", "train"),
        ("data/unsupervised-00000-of-00001.parquet", "default", "unsupervised"),
        ("train.parquet", "default", "train"),
        ("cifar10-test.parquet", "default", "test"),
        ("val_0.parquet", "default", "validation"),
        ("plain_text/train-00000-of-00001.parquet", "plain_text", "train"),
        ("data/en/test-00000-of-00001.parquet", "en", "test"),
        ("default/train/0000.parquet", "default", "train"),
        ("default/partial-train/0000.parquet", "default", "train"),
        ("cropped/extra/0001.parquet", "cropped", "extra"),
        ("images.parquet", "default", "train"),
        ("some/data-00000-of-00001.parquet", "default", "train"),
        ("train/cat/1.png", "default", "train"),
        ("data/dev/1.jpg", "default", "validation"),
        ("large/testing/cat/1.webp", "large", "test"),
        ("cat/test.png", "default", "train"),
        ("train.zip", "default", "train"),
        ("data/test.zip", "default", "test"),
        ("images.zip", "default", "images"),
        ("archive/data.zip", "default", "train"),
    ],
)
def test_a_name_says_configuration_and_split(name: str, config: str, split: str) -> None:
    assert arranged(name) == {config: {split: [name]}}


def test_files_that_say_nothing_give_way_to_those_that_do() -> None:
    assert arranged("train/1.png", "banner.png", ".hidden/test/1.png") == {"default": {"train": ["train/1.png"]}}


def test_the_heaviest_kind_is_meant() -> None:
    sizes = {"train/1.png": 10, "train/2.png": 10, "data/train.parquet": 5000, "logo.png": 30}
    assert arrange(sizes).configs == {"default": {"train": ["data/train.parquet"]}}
    assert heaviest(["table.csv", "README.md"], {}) == ""


def test_default_configuration() -> None:
    assert arrange({"a/train/0000.parquet": 1}).default == "a"
    assert arrange({"a/train/0000.parquet": 1, "default/train/0000.parquet": 1}).default == "default"
    assert arrange({"a/train/0000.parquet": 1, "b/train/0000.parquet": 1}).default == ""


def test_readme_rules() -> None:
    readme = """---
license: mit
configs:
- config_name: small
  data_files:
  - split: train
    path: small/part-*
  - split: held
    path: ["small/{x,y}/*.parquet", "small/[0-9].parquet"]
- config_name: all
  default: true
  data_files: "**/*.parquet"
- config_name: photos
  data_dir: photos
- config_name: notes
  data_files: notes.csv
---
# Title
"""
    names = ["small/part-1.parquet", "small/x/1.parquet", "small/y/2.parquet", "small/z/3.parquet", "small/7.parquet",
             "photos/test/1.png", "photos/train/2.png", "top.parquet", "notes.csv"]  # fmt: skip
    found = arrange(dict.fromkeys(names, 1), readme)
    assert found.default == "all"
    assert found.configs["small"] == {
        "train": ["small/part-1.parquet"],
        "held": ["small/7.parquet", "small/x/1.parquet", "small/y/2.parquet"],
    }
    assert len(found.configs["all"]["train"]) == 6
    assert found.configs["photos"] == {"test": ["photos/test/1.png"], "train": ["photos/train/2.png"]}
    assert "notes" not in found.configs


@pytest.mark.parametrize("head", ["---\nconfigs: [\n---\n", "---\nconfigs: 3\n---\n", "---\n- a\n---\n", "configs: x"])
def test_a_readme_that_cannot_be_understood_is_passed_over(head: str) -> None:
    assert arranged("data/train-00000-of-00001.parquet", readme=head)["default"]["train"]


def test_readme_forms_of_data_files() -> None:
    for said in ("data", "data/*", "[data/a.parquet]", "{train: data/a.parquet}", "./data/**"):
        readme = f"---\nconfigs:\n- config_name: default\n  data_files: {said}\n---\n"
        assert arranged("data/a.parquet", "b.parquet", readme=readme) == {"default": {"train": ["data/a.parquet"]}}, (
            said
        )


def test_root_is_the_folder_of_the_split() -> None:
    assert root_of(["a/train/x/1.png"], "train") == "a/train"
    assert root_of(["val/x/1.png", "val/x/2.png"], "validation") == "val"
    assert root_of(["x/1.png", "y/2.png"], "train") == ""
    assert root_of(["1.png"], "train") == ""
    assert root_of(["imgs/10/1.png", "imgs/1/1.png"], "train") == "imgs"


def test_annotations_are_those_of_the_split_or_the_nearest_above() -> None:
    both = ["train/metadata.jsonl", "test/metadata.jsonl", "train/a/1.png"]
    assert annotations_for(both, "train") == ("train", ["train/metadata.jsonl"])
    assert annotations_for(["metadata.csv", "images/1.png"], "images") == ("", ["metadata.csv"])
    assert annotations_for(["metadata.csv", "a/metadata.jsonl"], "a/b/c") == ("a", ["a/metadata.jsonl"])
    assert annotations_for(["trainer/metadata.csv"], "train") == ("train", [])


def test_counted_parts() -> None:
    assert missing_parts(["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"]) == 1
    assert missing_parts(["a-00000-of-00001.parquet", "b.parquet"]) == 0
    assert is_partial(["default/partial-train/0000.parquet"]) and not is_partial(["partial.parquet/x"])


def test_a_head_nested_ten_thousand_deep_says_nothing() -> None:
    assert arranged("train.parquet", readme="---\nconfigs: " + "[" * 10_000 + "\n---\n") == arranged("train.parquet")
