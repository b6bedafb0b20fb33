"""Models of the hub, against a stand-in on 127.0.0.1: published in one commit, fetched at one, and nothing more."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.data.hub_server import Hub, serving
from tests.export.runs import run_of

from sparring import api
from sparring.cli import main
from sparring.errors import DataError, MachineError, SparringError, UsageError
from sparring.export import folder
from sparring.export import hub as models
from sparring.runs.release import CONFIG, WEIGHTS

pytest.importorskip("huggingface_hub")

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of the library, in sending

TOKEN = "hf_do-not-show-me"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, with a cache of its own and a token that may write as "me"."""
    from huggingface_hub import close_session, constants

    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # which would ask another host
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own, of which there is no stand-in
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    close_session()  # a client reads the proxies of the environment when it is made
    with serving() as served:
        served.writers["me"] = TOKEN
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served
        close_session()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of cgan with its export in it; never change it."""
    out = tmp_path_factory.mktemp("runs") / "faces"
    folder.export(run_of("cgan", out), ["safetensors"], out / "export")
    return out


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def refused(call: Callable[[], Any]) -> SparringError:
    with pytest.raises(SparringError) as caught:
        call()
    assert caught.value.fix, "an error says how to mend it"
    return caught.value


def test_what_is_pushed_is_loaded_from_anywhere(hub: Hub, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(trained), "me/faces", "--license", "mit"]) == 0
    said = capsys.readouterr()
    found = hub.repositories["me/faces"]
    commit = found.refs["main"]
    assert said.out == f"hf:me/faces@{commit}\n" and f"{hub.url}/me/faces" in said.err
    held = found.commits[commit]
    assert set(held) == {".gitattributes", CONFIG, WEIGHTS, "README.md", "samples.png"}
    assert len(hub.messages) == 1 and "cgan" in hub.messages[0]  # one commit
    card = held["README.md"].decode()
    assert 'sparring.load("hf:me/faces")' in card and "license: mit" in card and "secret" not in card

    model = api.load("hf:me/faces", device="cpu")
    assert torch.equal(model.sample(4, seed=2), api.load(trained, device="cpu").sample(4, seed=2))
    assert sorted(hub.fetched()) == [CONFIG, WEIGHTS]
    assert any(commit in line for line in model.remarks)
    assert TOKEN not in said.out + said.err + repr(model) + str(model.info())


def test_samples_of_the_hub_from_the_command_line(hub: Hub, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("me/faces", files_of(trained / "export"))
    for _ in range(2):  # what was made before is replaced
        assert main(["sample", "hf:me/faces", "-n", "1"]) == 0
    said = capsys.readouterr()
    path = Path("runs/hf-me-faces/generated/000000.png")
    assert said.out.splitlines() == [str(path)] * 2 and path.is_file()
    assert "is commit" in said.err
    assert main(["info", "hf:me/faces"]) == 0 and main(["interpolate", "hf:me/faces", "--frames", "2"]) == 0
    assert main(["export", "hf:me/faces", "--out", "copy"]) == 0
    assert (Path("copy") / WEIGHTS).read_bytes() == (trained / "export" / WEIGHTS).read_bytes()
    assert main(["sample", "hf:me/faces", "--which", "7"]) == 2


def test_pictures_are_translated_by_a_model_of_the_hub(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("pix2pix", tmp_path / "run")
    hub.add("me/drawings", files_of(folder.export(run, ["safetensors"], tmp_path / "out").path))
    Image.linear_gradient("L").resize((37, 21)).save("mine.png")
    assert main(["translate", "hf:me/drawings", "mine.png"]) == 0
    path = Path("runs/hf-me-drawings/translated/mine.png")
    assert capsys.readouterr().out == f"{path}\n"
    with Image.open("mine.png") as given, Image.open(path) as made:
        assert made.size == (37, 21) and made.tobytes() == run.translate(given.convert("RGB")).tobytes()


def test_a_commit_that_lies_in_the_cache_asks_nobody(hub: Hub, trained: Path) -> None:
    hub.add("me/faces", files_of(trained / "export"))
    address = models.fetch("hf:me/faces").address
    hub.asked.clear()
    again = models.fetch(address)
    assert not hub.asked and again.address == address and not again.remarks


def test_a_revision_is_pinned_when_it_is_opened(hub: Hub, trained: Path, tmp_path: Path) -> None:
    first = hub.add("me/faces", files_of(trained / "export"))
    other = folder.export(run_of("cgan", tmp_path / "other", rounds=3), ["safetensors"], tmp_path / "new").path
    old = models.fetch("hf:me/faces")
    second = hub.add("me/faces", files_of(other))
    new = models.fetch("hf:me/faces")
    assert (old.address, new.address) == (f"hf:me/faces@{first}", f"hf:me/faces@{second}")
    assert (old.folder / WEIGHTS).read_bytes() != (new.folder / WEIGHTS).read_bytes()
    assert models.fetch(old.address).folder == old.folder


def test_without_the_hub_the_commit_seen_last_is_used_and_said(
    hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("me/faces", files_of(trained / "export"))
    models.fetch("hf:me/faces")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        found = models.fetch("hf:me/faces")
        assert found.address.endswith(commit) and any("cannot be reached" in line for line in found.remarks)
        error = refused(lambda: models.fetch("hf:me/never-seen"))
        assert error.code == "HUB-UNREACHABLE" and "model" in error.what
        error = refused(lambda: api.push(trained, "me/faces"))
        assert error.code == "HUB-UNREACHABLE"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert models.fetch("hf:me/faces").address.endswith(commit)
    assert refused(lambda: models.fetch("hf:me/never-seen")).code == "HUB-OFFLINE"
    assert refused(lambda: api.push(trained, "me/faces")).code == "HUB-OFFLINE"


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["hf:", "hf:faces", "hf:me/faces/train", "hf:../../etc", "hf:me/fa ces", "hf:me/..@x"])
def test_names_that_are_none(hub: Hub, text: str) -> None:
    with pytest.raises(UsageError, match="HUB-NAME"):
        api.load(text)
    assert not hub.asked


def test_models_that_are_not_there_or_not_ours(hub: Hub, trained: Path) -> None:
    ours = files_of(trained / "export")
    hub.add("me/faces", ours)
    hub.add("me/bert", {CONFIG: b'{"architectures": ["Bert"]}', "pytorch_model.bin": b"pickle"})
    hub.add("me/other", {CONFIG: b'{"architectures": ["Bert"]}', WEIGHTS: b"1"})
    hub.add("me/long", {**ours, CONFIG: b" " * 1_000_001})
    hub.add("me/heavy", {**ours, WEIGHTS: ours[WEIGHTS] + b" "})
    hub.add("me/secret", ours)
    hub.repositories["me/secret"].token = "another"
    hub.add("me/gated", ours)
    hub.repositories["me/gated"].token, hub.repositories["me/gated"].gated = "another", True
    for text, code, why in (
        ("hf:me/nothing", "HUB-MISSING", "no such model"), ("hf:me/faces@v9", "HUB-REVISION", "v9"),
        ("hf:me/bert", "HUB-MODEL", f"no {WEIGHTS}"), ("hf:me/other", "RELEASE-CONFIG", "another program"),
        ("hf:me/long", "HUB-MODEL", "1,000,001"), ("hf:me/heavy", "HUB-MODEL", "bytes"),
        ("hf:me/secret", "HUB-MISSING", "private"), ("hf:me/gated", "HUB-ACCESS", "accept"),
    ):  # fmt: skip
        error = refused(lambda text=text: api.load(text))
        assert error.code == code and why in str(error), str(error)
    fetched = hub.fetched()
    assert WEIGHTS not in fetched and "pytorch_model.bin" not in fetched  # nothing large before it is known what it is


def test_bytes_that_changed_on_the_way(hub: Hub, trained: Path) -> None:
    ours = files_of(trained / "export")
    data = bytearray(ours[WEIGHTS])
    data[-1] ^= 1
    hub.add("me/faces", {**ours, WEIGHTS: bytes(data)})
    error = refused(lambda: api.load("hf:me/faces"))
    assert error.code == "RELEASE-WEIGHTS" and "SHA-256" in error.why


@pytest.mark.parametrize("token", [None, "hf_of-somebody-else"])
def test_who_may_not_write_is_told_so(
    hub: Hub, trained: Path, token: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
    assert main(["push", str(trained), "me/faces"]) == DataError.exit_code
    said = capsys.readouterr().err
    assert "HUB-ACCESS" in said and "hf auth login" in said and "Traceback" not in said
    assert token is None or token not in said
    assert "me/faces" not in hub.repositories


def test_private_is_private(hub: Hub, trained: Path) -> None:
    sent = api.push(trained, "me/mine", private=True)
    assert hub.repositories["me/mine"].private and api.load(sent.address).images
    hub.add("me/faces", {})
    before = dict(hub.repositories["me/faces"].refs)
    assert refused(lambda: api.push(trained, "me/faces", private=True)).code == "HUB-PUBLIC"
    assert hub.repositories["me/faces"].refs == before


def test_a_branch_is_made(hub: Hub, trained: Path) -> None:
    sent = api.push(trained, "hf:me/faces", revision="v2")
    found = hub.repositories["me/faces"]
    assert found.refs["v2"] == sent.commit != found.refs["main"] and WEIGHTS not in found.commits[found.refs["main"]]
    assert api.load("hf:me/faces@v2").images == api.load(sent.address).images
    assert api.push(trained, "me/faces", revision="v2").commit == sent.commit
    assert refused(lambda: api.push(trained, "me/faces@v2")).code == "HUB-NAME"


def test_a_folder_is_pushed_as_it_lies_there(hub: Hub, trained: Path, tmp_path: Path) -> None:
    ready = api.export(trained, "hub", out=tmp_path / "ready").path
    (ready / "README.md").write_text((ready / "README.md").read_text("utf-8") + "\nMy own words.\n", "utf-8")
    (ready / "diary.txt").write_text("private")
    sent = api.push(ready, "me/faces")
    held = hub.repositories["me/faces"].commits[sent.commit]
    assert "diary.txt" not in held and held[WEIGHTS] == (ready / WEIGHTS).read_bytes()
    card = held["README.md"].decode()
    assert "My own words." in card and "hf:me/faces" in card and models.card.ANYWHERE not in card
    assert refused(lambda: api.push(ready, "me/faces", license="mit")).code == "PUSH-CARD"


def test_a_game_of_ones_own_is_not_published(hub: Hub, trained: Path, tmp_path: Path) -> None:
    from sparring.runs.release import Release

    run = Release(trained / "export", device="cpu")
    run.said = {**run.said, "recipe": f"{tmp_path}/own.py:Mine"}
    run.document = {**run.document, "recipe": f"{tmp_path}/own.py:Mine"}
    assert refused(lambda: models.push(run, "me/own")).code == "EXPORT-OWN"
    assert refused(lambda: folder.export(run, ["hub"], tmp_path / "out")).code == "EXPORT-OWN"
    assert not hub.asked


def test_the_extra_is_named_where_it_is_not_installed(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: api.load("hf:me/faces"), lambda: api.push(trained, "me/faces")):
        with pytest.raises(MachineError, match=r"sparring\[hub\]"):
            call()


def test_nothing_of_the_cache_is_written_to(hub: Hub, trained: Path) -> None:
    hub.add("me/faces", files_of(trained / "export"))
    found = models.fetch("hf:me/faces").folder
    before = sorted(os.listdir(found))
    api.save_samples("hf:me/faces", api.load("hf:me/faces").home / "generated", n=1)
    assert sorted(os.listdir(found)) == before == sorted([CONFIG, WEIGHTS])
    shutil.rmtree("runs")
    assert json.loads((found / CONFIG).read_text("utf-8"))["recipe"] == "cgan"
