"""docs/study.md says what benchmarks/results/study.json does."""

import json

from benchmarks import study


def test_the_page_is_that_of_the_results() -> None:
    document, text = json.loads(study.OUT.read_text("utf-8")), study.PAGE.read_text("utf-8")
    assert study.page(document, text) == text, "python -m benchmarks.study --page"
    assert "\n".join(document["example"]["lines"]) in text


def test_the_interval_holds_what_the_page_promises() -> None:
    """Of every kind of study with 20 raters or more: the truth in at least 93.5 % of 4,000, and in 94 % of most."""
    document = json.loads(study.OUT.read_text("utf-8"))
    held = [one["coverage"]["studentised"] for one in document["cells"] if one["raters"] >= 20]
    assert min(held) >= 0.935 and sum(h >= 0.94 for h in held) >= 0.9 * len(held)


def test_the_example_is_found_again() -> None:
    found = study.example()[1]
    document = json.loads(study.OUT.read_text("utf-8"))
    assert found["raters"] == document["example"]["result"]["raters"]
    for one in found["conditions"]:
        assert one["fooled"]["low"] < study.TRUTH[one["condition"]] < one["fooled"]["high"]
