"""The tables of docs/choosing.md are those of the committed comparisons."""

from benchmarks import compare


def test_the_page_says_what_the_comparisons_found():
    """If this fails: ``python -m benchmarks.compare --table`` prints the tables; playing writes them."""
    text = compare.PAGE.read_text("utf-8")
    assert all((compare.RESULTS / f"{name}.json").exists() for name in compare.QUESTIONS)
    assert compare.filled(text) == text
