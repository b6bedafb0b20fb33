"""From an inspection to what a person should know, worst first, each with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sparring.data.builtin import IMAGES
from sparring.data.inspection import LISTED, MOST_LIVE, ODD, Finding, Inspection, Level
from sparring.data.remarks import SIDE_BY_SIDE

FEW = 1_000
"""Below so many images a generator learns them by heart unless they are augmented."""

_KINDS: tuple[tuple[str, str, str], ...] = (
    (r"^no partner", "without a partner on the other side", "give them one of the same stem, if there is one"),
    (r"different shapes", "of which the two sides have different shapes", "crop or resize one of them like the other"),
    (
        r"numbers of no class|numbers of classes|map of classes|no colour of the palette",
        "label maps that are none",
        "look at them: classes.txt or --palette says what is expected",
    ),
    (r"too small", "too small", "leave them out, or say --min-side 4 (or what you need)"),
    (r"too long", "too long", "cut them into shape, or say --max-aspect 8 (or what you need)"),
    (r"megapixels", "too large", "make them smaller, or say --max-megapixels 500 (or what you need)"),
    (r"^(empty|only zero bytes)", "empty", "copy or download them again"),
    (r"web page", "web pages that were saved in place of images", "download them again"),
    (r"^damaged|^cannot be read: Input", "damaged", "copy, export or download them again"),
    (r"[Pp]ermission", "not allowed to be read", "chmod u+r them"),
    (r"^cannot be read|no answer|changed while", "not readable", "look at the disk or the network, and check again"),
    (r"link", "links that lead nowhere", "remove them, or put the files where they point"),
    (r"not a regular file", "no regular files", "remove them"),
    (r"occurs twice", "names that occur twice", "rename one of them"),
    (r"encrypted", "encrypted", "unpack the zip with its password, and give the folder"),
    (r"leads out of the zip", "paths that lead out of the zip", "pack the zip again"),
    (r"cloud|placeholder", "not on this machine", "make them available offline"),
    (r"video|sound", "videos or sounds", "extract the frames: ffmpeg -i VIDEO -vf fps=2 frame-%05d.png"),
    (r"^text|not an image|no image format|document|database", "no images", "nothing to do, if you know them"),
    (r"not finite", "not numbers", "export them without NaN and infinity"),
)


_TABLES = re.compile(
    r"(metadata|labels?|captions?|classes|annotations?)\.(json|jsonl|csv|tsv|txt|ya?ml)", re.IGNORECASE
)
"""Names of files that look as if they said something about the images."""


def kind_of(reason: str, name: str = "") -> tuple[str, str]:
    """(what such files are called together, what to do about them), from the reason that one was left out for.

    >>> kind_of("text, not an image", "photos/labels.csv")[0]
    'text that looks like labels or captions, of another name than is read'
    >>> kind_of("damaged: image file is truncated (3 bytes not processed)")
    ('damaged', 'copy, export or download them again')
    """
    if reason.startswith("text") and _TABLES.fullmatch(name.rpartition("/")[2]):
        return (
            "text that looks like labels or captions, of another name than is read",
            "metadata.jsonl or metadata.csv would be read (columns file_name, label, text): write it as one of these",
        )
    for pattern, what, fix in _KINDS:
        if re.search(pattern, reason):
            return what, fix
    what, colon, advice = reason.partition(": ")
    return (what, advice) if colon else (reason, "")


def findings(made: Inspection, warnings: Sequence[str], others: Iterable[Finding] = ()) -> list[Finding]:
    """What a person should know of an inspection, worst first. warnings: what was noticed during preparation."""
    found = [*_left_out(made), *_copies(made), *_nothing_to_see(made), *_shapes(made), *others]
    known = re.compile(r"exact duplicate|one flat colour|only [\d,]+ image")
    for text in warnings:
        if text == SIDE_BY_SIDE:
            what, _, fix = text.partition("; ")
            found.insert(0, Finding("warning", "DATA-SIDE-BY-SIDE", what, fix))
        elif not known.search(text):
            found.append(noted(text))
    if made.usable < FEW:
        level: Level = "warning" if made.usable < 100 else "note"
        what = "pair" if made.pairs not in ("", "unpaired") else "image"
        images = f"{made.usable:,} {what}{'s' if made.usable > 1 else ''}"
        what = f"only {images}: without augmentation a generator learns them by heart"
        found.append(Finding(level, "DATA-FEW", what, "more images help most"))
    mixed = made.conversions.get("grey to colour", 0) + made.conversions.get("colour to grey", 0)
    if mixed > ODD * made.usable:  # fewer are named one by one
        other = "grey" if made.conversions.get("grey to colour") else "colour"
        what = f"{mixed:,} of {made.usable:,} images {'are' if mixed > 1 else 'is'} {other} among others"
        found.append(Finding("note", "DATA-MIXED", what, f"fine if meant; --channels {1 if made.shape[0] == 3 else 3}"
                             " decides otherwise"))  # fmt: skip
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


_FIXES: tuple[tuple[str, str], ...] = (
    (r"; (choose a --size .*)$", r"\1"),
    (r"; (--(?:background|frames|crop|labels|columns) .*)$", r"\1"),
    (r"; (name one with --columns .*)$", r"\1"),
    (r"; (?:it has|no) (?:other )?column.*; (--columns .*)$", r"\1"),
    (r"; (add one)$", "add a column file_name, or remove the file"),
    (r": (the small ones will .*)$", r"\1"),
    (r": (copy them to a local disk, .*)$", r"\1"),
    (r": (write them anew with .*)$", r"\1"),
)
"""Where what is noticed ends and what to do begins; the second is what is said then."""
_OTHER_FIXES: tuple[tuple[str, str], ...] = (
    (r"^no caption for", "give them a text in the metadata; without one they are images like any others"),
    (r"^classes with one image", "collect more of these, or leave them out"),
    (r"^classes without a single image", "add images, or take the label away"),
    (r"rows are about files not there", "correct the file names in these rows, or remove the rows"),
    (r"all images are of one class", "--labels none, or label them apart"),
    (r"are these labels really classes", "--labels none, or --columns label=… names another column"),
)
_UNUSED = re.compile(r"^(.* is not used|.*: nothing in it is used): (.*)$")
_NAMES = re.compile(
    r"^(no caption for [\d,]+ of [\d,]+ images|classes [^:]*|.*about files not there|"
    r"empty [^:]*): (.*)$"
)


def noted(text: str) -> Finding:
    """What was noticed during preparation: a short sentence, the names in it, and what to do about it if that is known.

    >>> noted("no caption for 2 of 9 images: a.png, b.png").files
    [('a.png, b.png', '')]
    >>> noted("metadata.csv is not used: it has no column 'file_name'; name one with --columns image=path").fix
    'name one with --columns image=path'
    """
    what, fix = text, ""
    for pattern, said in _FIXES:
        if match := re.search(pattern, what):
            what, fix = what[: match.start()], match.expand(said)
            break
    fix = fix or next((said for pattern, said in _OTHER_FIXES if re.search(pattern, what)), "")
    why = ""
    if "enlarged; 95 %" in what:
        what, _, why = what.partition("; ")
    if match := _UNUSED.match(what):
        what, why = match[1], match[2]
    names = _NAMES.match(what)
    files = [(names[2], "")] if names and names[2] else []
    return Finding("warning", "DATA-NOTED", names[1] if names and files else what, fix, len(files), files, why)


def _left_out(made: Inspection) -> Iterator[Finding]:
    kinds: dict[str, list[tuple[str, str]]] = {}
    advice: dict[str, str] = {}
    for name, reason in made.excluded:
        what, fix = kind_of(reason, name)
        said = reason.removesuffix(f": {fix}").removesuffix(": extract its frames")  # once is enough
        kinds.setdefault(what, []).append((name, said))
        advice[what] = fix
    for what, files in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        text = f"{len(files):,} file{'s' if len(files) > 1 else ''} left out: {what}"
        yield Finding("warning", "DATA-LEFT-OUT", text, advice[what], len(files), files[:LISTED])


def _copies(made: Inspection) -> Iterator[Finding]:
    if made.repeated:
        share = made.repeated / max(1, made.usable)
        removed = "" if made.place in IMAGES else ", so remove them if they are many"
        are = "are exact duplicates" if made.repeated > 1 else "is an exact duplicate"
        files = [(" = ".join(group.files[:3]) + (" = …" if len(group.files) > 3 else ""), "") for group in made.equal]
        yield Finding(
            "warning" if share >= 0.01 else "note",
            "DATA-DUPLICATES",
            f"{made.repeated:,} of {made.usable:,} images {are} of others",
            "harmless if few; what is there often is learnt by heart" + removed,
            len(made.equal),
            files,
        )
    if made.near_count:
        mirrored = sum(pair.mirrored for pair in made.near)
        apart = sum(pair.apart for pair in made.near)
        capped = " (the closest ones)" if made.near_count >= MOST_LIVE else ""
        yield Finding(
            "warning" if apart or made.near_count >= 0.01 * made.usable else "note",
            "DATA-NEAR",
            f"{made.near_count:,} pair{'s' if made.near_count > 1 else ''} of almost the same images{capped}"
            + (f", {mirrored:,} of them mirrored" if mirrored else "")
            + (f", {apart:,} in different classes" if apart else ""),
            "look at them on the page; what is there several times is learnt several times",
            made.near_count,
            [(f"{pair.files[0]} ~ {pair.files[1]}", pair.remark) for pair in made.near],
        )


def _nothing_to_see(made: Inspection) -> Iterator[Finding]:
    if made.blank and made.place not in IMAGES:  # nobody can remove an image of built-in data
        share = made.blank / max(1, made.usable)
        what = f"{made.blank:,} of {made.usable:,} images {'are' if made.blank > 1 else 'is'} blank"
        fix = "remove them" if made.blank > 1 else "remove it"
        fix += ": a generator learns to make them too" if share > 0.005 else ""
        files = [(name, "") for name in made.empty.files]
        yield Finding("warning", "DATA-BLANK", what, fix, made.blank, files)


_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "images", "data"})


def _class_folders(made: Inspection) -> list[str]:
    """Folders at the top that are no splits and no numbered parts: probably classes."""
    if len(made.folders) < 2 or _SPLITS.intersection(map(str.lower, made.folders)):
        return []
    return [] if 4 * len(made.folders) > made.usable else made.folders


def _shapes(made: Inspection) -> Iterator[Finding]:
    if not made.pairs and any(made.folders == sorted(two) for two in (("A", "B"), ("trainA", "trainB"))):
        yield Finding(
            "note", "DATA-FOLDERS", f"folders {' and '.join(made.folders)}: the two sides of pairs?",
            "if so: --pairs stems, or --pairs unpaired where they do not belong together",
        )  # fmt: skip
    elif not made.classes and (found := _class_folders(made)):
        named = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        yield Finding(
            "note", "DATA-FOLDERS", f"{len(found):,} folders could be classes ({named}), and are not used as such",
            "--labels folders, if they are; fine for a recipe that needs no classes",
        )  # fmt: skip
    if made.lost >= 0.1:
        yield Finding(
            "warning" if made.lost >= 0.2 else "note",
            "DATA-CROP",
            f"cropping cuts away {made.lost:.0%} of an image on average"
            + (f" (more than a fifth of {made.much:,} images)" if made.much and not made.even else ""),
            "all have the same shape: keep it with --size WxH"
            if made.even
            else "look at the page; --crop pad keeps everything, with borders; --size WxH fits another shape",
        )
