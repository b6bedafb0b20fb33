"""Laws of checkpoints: the old one or the new one, whole; never neither, never something else."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.proofs.faults import NEEDS_SPACE, Death, Dying, Failing, Killing, Watched
from sparring.errors import CheckpointError, Diverged, UsageError
from sparring.train.checkpoint import Checkpoint, Store, match_tensors
from sparring.train.disk import Disk
from sparring.train.manifest import Manifest, canonical

PAGE = 4096


def content(images: int, size: int = 3) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
    """A state that is a function of `images`, with all that is awkward: strides, scalars, integers, nothing."""
    dice = torch.Generator().manual_seed(images)
    image = torch.randn(1, 2, size, size, generator=dice).contiguous(memory_format=torch.channels_last)
    tensors = {
        "G": {"weight": torch.randn(size, size, generator=dice), "conv.weight": image},
        "G.ema": {"weight": torch.randn(size, generator=dice).to(torch.bfloat16), "none": torch.zeros(0, 3)},
        "optimiser": {"G/step": torch.tensor(images), "G/exp_avg_sq": torch.rand(size, generator=dice)},
    }
    return tensors, {"round": images // 10, "sums": {"D/real": images / 7}, "list": [1, None, "é"]}


def save(store: Store, images: int, size: int = 3, healthy: bool = True) -> Path:
    return store.save(images, *content(images, size), healthy=healthy)


expected = cache(content)


def assert_holds(found: Checkpoint | None, images: int, size: int = 3) -> None:
    assert found is not None and found.images == images
    tensors, state = expected(images, size)
    assert found.state == state
    assert sorted(found.stems) == sorted(tensors)
    for stem, named in tensors.items():
        back = found.tensors(stem)
        assert sorted(back) == sorted(named)
        for name, tensor in named.items():
            assert back[name].dtype == tensor.dtype and back[name].shape == tensor.shape
            assert back[name].is_contiguous() and torch.equal(back[name], tensor)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ── save and load ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    store = Store(tmp_path / "run" / "checkpoints")
    assert store.newest() is None
    path = save(store, 12345)
    assert path.name == "000000012345"
    assert_holds(store.newest(), 12345)
    assert_holds(Checkpoint.open(path), 12345)
    assert_holds(store.at(12345), 12345)
    with pytest.raises(CheckpointError, match="no checkpoint at 7"):
        store.at(7)


def test_a_save_changes_nothing_in_the_process_that_trains(tmp_path: Path) -> None:
    tensors, state = content(5)
    tensors["G"]["weight"].requires_grad_()
    tensors["G"]["conv.weight"].grad = torch.ones_like(tensors["G"]["conv.weight"])
    strides = {name: t.stride() for name, t in tensors["G"].items()}
    values = {name: t.detach().clone() for name, t in tensors["G"].items()}
    random.seed(1)
    before = (torch.get_rng_state(), random.getstate(), torch.get_num_threads(), os.getcwd(), canonical(state))
    Store(tmp_path).save(5, tensors, state)
    after = (torch.get_rng_state(), random.getstate(), torch.get_num_threads(), os.getcwd(), canonical(state))
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    for name, tensor in tensors["G"].items():
        assert tensor.stride() == strides[name] and torch.equal(tensor, values[name])
    assert tensors["G"]["weight"].requires_grad and tensors["G"]["conv.weight"].grad is not None


def test_views_of_one_buffer_and_tied_weights_are_saved_as_values(tmp_path: Path) -> None:
    flat = torch.arange(12.0)
    tied = torch.ones(3)
    named = {
        "a": flat[:6].view(2, 3),
        "b": flat[6:],
        "c": flat[::2],
        "over": flat[3:9],
        "tied": tied,
        "again": tied,
        "t": flat.view(3, 4).T,
    }
    store = Store(tmp_path)
    store.save(1, {"G": named}, {})
    found = store.newest()
    assert found is not None
    assert all(torch.equal(found.tensors("G")[name], tensor) for name, tensor in named.items())
    size = (found.path / "G.safetensors").stat().st_size
    assert size < 2000  # a view brings its own values along, not the whole buffer


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    one, two = (save(Store(tmp_path / name, run="r"), 7) for name in ("one", "two"))
    for name in names(one):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_no_file_holds_a_pickle(tmp_path: Path) -> None:
    for file in save(Store(tmp_path), 3).iterdir():
        assert file.suffix in (".json", ".safetensors")


@pytest.mark.parametrize(
    "state", [{"x": float("nan")}, {"x": [float("inf")]}, {1: 2}, {"x": {"y": torch.ones(1)}}, {"x": {2}}, {"x": b"1"}]
)
def test_a_state_that_would_come_back_as_something_else_is_refused(tmp_path: Path, state: Any) -> None:
    store = Store(tmp_path)
    with pytest.raises(TypeError, match="state"):
        store.save(1, {}, state)
    assert store.newest() is None and names(tmp_path) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_never_saved(tmp_path: Path, bad: float) -> None:
    store = Store(tmp_path)
    save(store, 1)
    with pytest.raises(Diverged, match="'b'"):
        store.save(2, {"G": {"a": torch.ones(2), "b": torch.tensor([1.0, bad])}}, {})
    assert names(tmp_path) == ["000000000001"]
    assert_holds(store.newest(), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_one_such_number_is_found_anywhere(tmp_path: Path, dtype: torch.dtype) -> None:
    store, dice = Store(tmp_path, disk=Watched()), random.Random(0)
    for size in (1, 7, 64, 1000, 40_000):
        tensor = torch.ones(size, dtype=dtype)
        store.save(1, {"G": {"w": tensor}}, {})
        for bad in (float("nan"), float("inf"), -float("inf")):
            for place in (0, size - 1, dice.randrange(size)):
                broken = tensor.clone()
                broken[place] = bad
                with pytest.raises(Diverged):
                    store.save(2, {"G": {"w": broken}}, {})


@pytest.mark.parametrize("stem", ["../evil", "a/b", "", "C:", ".hidden"])
def test_a_stem_stays_inside_the_directory(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ValueError, match="stem"):
        Store(tmp_path / "in").save(1, {stem: {}}, {})
    assert names(tmp_path) == ["in"] and names(tmp_path / "in") == []


def test_fewer_than_two_are_never_kept(tmp_path: Path) -> None:
    for keep in (-1, 0, 1):
        with pytest.raises(UsageError):
            Store(tmp_path, keep=keep)


def test_saving_twice_at_the_same_place_replaces(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(store, 10)
    save(store, 20)
    path = store.save(20, {"G": {"w": torch.tensor([2.0])}}, {"again": True})
    found = store.newest()
    assert found is not None and found.state == {"again": True} and found.path == path
    assert names(tmp_path) == ["000000000010", "000000000020"]


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def flip(data: bytes, dice: random.Random) -> bytes:
    bit = dice.randrange(len(data) * 8)
    return data[: bit // 8] + bytes([data[bit // 8] ^ (1 << bit % 8)]) + data[bit // 8 + 1 :]


def truncate(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def zero_page(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(-(-len(data) // PAGE)) * PAGE
    return data[:start] + bytes(len(data[start : start + PAGE])) + data[start + PAGE :]


def overwrite(file: Path, data: bytes) -> None:
    """In place: a file that is emptied first would be forced to the medium by ext4, and that is slow."""
    with file.open("r+b") as opened:
        opened.write(data)
        opened.truncate()


@pytest.mark.parametrize(("harm", "times"), [(flip, 500), (truncate, 250), (zero_page, 100)])
def test_no_damage_is_ever_loaded_and_the_previous_one_is_used(
    tmp_path: Path, harm: Callable[[bytes, random.Random], bytes], times: int
) -> None:
    store, size = Store(tmp_path), 40
    save(store, 10, size)
    newest = save(store, 20, size)
    files = sorted(newest.iterdir())
    for number in range(times):
        dice = random.Random(number)
        sizes = [file.stat().st_size for file in files]
        file = dice.choice(files) if number % 2 else dice.choices(files, sizes)[0]
        whole = file.read_bytes()
        overwrite(file, harm(whole, dice))
        found = store.newest()
        assert found is not None and found.images == 10, f"seed {number}: {file.name}"
        (why,) = found.rejected
        assert why.startswith(f"{newest.name}/{file.name}: ")
        assert re.search("size differs|hash differs|not JSON|not a manifest", why), why
        overwrite(file, whole)
    assert_holds(store.newest(), 20, size)


def swap_players(path: Path) -> None:
    shutil.move(path / "G.safetensors", path / "x")
    shutil.move(path / "G.ema.safetensors", path / "G.safetensors")
    shutil.move(path / "x", path / "G.ema.safetensors")


def rewrite(path: Path, name: str, data: bytes) -> None:
    """As an attacker or a bug would: contents wrong, manifest right."""
    (path / name).write_bytes(data)
    old = Manifest.decode((path / "manifest.json").read_bytes())
    files = {**old.files, name: (len(data), hashlib.sha256(data).hexdigest())}
    (path / "manifest.json").write_bytes(Manifest(old.run, old.images, old.healthy, files).encode())


def tensors_file(named: dict[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save as serialise

    return serialise(named)


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "swapped": (swap_players, r"(G|G\.ema)\.safetensors: (size|hash) differs"),
    "from another step": (
        lambda p: shutil.copy(p.parent / "000000000010" / "G.safetensors", p),
        r"G\.safetensors: hash differs",
    ),
    "missing": (lambda p: (p / "G.safetensors").unlink(), r"G\.safetensors: missing"),
    "no state": (lambda p: (p / "state.json").unlink(), r"state\.json: missing"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), r"manifest\.json: missing"),
    "empty": (lambda p: [f.unlink() for f in p.iterdir()], r"manifest\.json: missing"),
    "a directory": (
        lambda p: [(p / "G.safetensors").unlink(), (p / "G.safetensors").mkdir()],
        r"G\.safetensors: (unreadable|missing)",
    ),
    "extra": (lambda p: (p / "H.safetensors").write_bytes(b""), r"H\.safetensors: not in the manifest"),
    "state no JSON": (lambda p: rewrite(p, "state.json", b"{"), r"state\.json: not JSON"),
    "state a list": (lambda p: rewrite(p, "state.json", b"[]"), r"state\.json: not a JSON object"),
    "no safetensors": (lambda p: rewrite(p, "G.safetensors", b"\x80\x04."), r"G\.safetensors: not safetensors"),
    "huge header": (
        lambda p: rewrite(p, "G.safetensors", (1 << 40).to_bytes(8, "little") + b"{}"),
        r"G\.safetensors: not safetensors",
    ),
    "lying shape": (
        lambda p: rewrite(
            p,
            "G.safetensors",
            (lambda h: len(h).to_bytes(8, "little") + h + bytes(8))(
                b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,8]}}'
            ),
        ),
        r"G\.safetensors: not safetensors",
    ),
    "NaN": (
        lambda p: rewrite(p, "G.safetensors", tensors_file({"w": torch.tensor([0.0, float("nan")])})),
        r"G\.safetensors: 'w' holds numbers that are not finite",
    ),
    "negative variance": (
        lambda p: rewrite(p, "G.safetensors", tensors_file({"bn.running_var": torch.tensor([1.0, -1.0])})),
        r"'bn\.running_var' holds negative",
    ),
}


@pytest.mark.parametrize("case", HARM)
def test_each_kind_of_harm_is_named_and_the_previous_one_is_used(tmp_path: Path, case: str) -> None:
    harm, message = HARM[case]
    store = Store(tmp_path)
    save(store, 10)
    newest = save(store, 20)
    harm(newest)
    found = store.newest()
    assert_holds(found, 10)
    assert found is not None and len(found.rejected) == 1
    assert re.search(message, found.rejected[0]), found.rejected
    with pytest.raises(CheckpointError):
        Checkpoint.open(newest)
    save(store, 20)  # and the run that resumes reaches the same place again
    assert_holds(store.newest(), 20)


def test_litter_of_file_managers_is_no_damage(tmp_path: Path) -> None:
    path = save(Store(tmp_path), 10)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._G.safetensors"):
        (path / name).write_bytes(b"x")
    assert_holds(Store(tmp_path).newest(), 10)


def test_a_renamed_checkpoint_is_not_believed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(store, 10)
    save(store, 20).rename(tmp_path / "000000000099")
    found = store.newest()
    assert_holds(found, 10)
    assert found is not None and "20 images" in found.rejected[0]


def test_when_all_are_damaged_it_says_so_and_never_starts_from_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for images in (10, 20):
        path = save(store, images)
        (path / "G.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        store.newest()
    assert caught.value.exit_code == 4
    assert "000000000010/G.safetensors: size differs" in str(caught.value)
    assert "000000000020/G.safetensors: size differs" in str(caught.value)


def test_a_checkpoint_of_the_future_is_neither_used_nor_passed_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(store, 10)
    path = save(store, 20) / "manifest.json"
    body = json.loads(path.read_bytes())
    del body["checksum"]
    body |= {"format": 2, "files": "in a way nobody knows yet"}
    path.write_bytes(canonical({**body, "checksum": hashlib.sha256(canonical(body)).hexdigest()}))
    for look in (store.newest, lambda: Checkpoint.open(path.parent)):
        with pytest.raises(CheckpointError) as caught:
            look()
        assert caught.value.code == "CHECKPOINT-FUTURE" and "upgrade" in str(caught.value)


@pytest.mark.parametrize("change", [lambda d: d + b"\n", lambda d: b" " + d, lambda d: d.replace(b":", b": ", 1)])
def test_a_manifest_is_judged_by_its_bytes(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = save(Store(tmp_path), 10) / "manifest.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"manifest\.json: hash differs"):
        Store(tmp_path).newest()


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = save(store, 10)
    (tmp_path / "outside").write_bytes(b"{}")
    rewrite(path, "state.json", (path / "state.json").read_bytes())
    old = Manifest.decode((path / "manifest.json").read_bytes())
    files = {**old.files, "../outside": (2, hashlib.sha256(b"{}").hexdigest())}
    (path / "manifest.json").write_bytes(Manifest(old.run, 10, True, files).encode())
    with pytest.raises(CheckpointError, match="not a manifest"):
        store.newest()


def test_what_is_parsed_are_the_bytes_that_were_hashed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = save(store, 10)
    found = store.newest()
    assert found is not None
    (path / "G.safetensors").write_bytes(tensors_file({"weight": torch.zeros(3, 3)}))  # after it was found valid
    with pytest.raises(CheckpointError, match=r"G\.safetensors: (size|hash) differs"):
        found.tensors("G")
    with pytest.raises(CheckpointError, match="missing"):
        found.tensors("nobody")


def test_an_unreadable_file_is_passed_over(tmp_path: Path) -> None:
    save(Store(tmp_path), 10)
    save(Store(tmp_path), 20)
    for k in range(5):  # the manifest and each file of the newest
        found = Store(tmp_path, disk=Failing(k, error=errno.EIO)).newest()
        assert found is not None and found.images == 10
        assert "unreadable" in found.rejected[0] and os.strerror(errno.EIO) in found.rejected[0]


def test_a_disk_that_gives_back_other_bytes_is_found_out_at_once(tmp_path: Path) -> None:
    class Rotten(Disk):
        def write(self, path: Path, data: bytes) -> None:
            super().write(path, flip(data, random.Random(0)) if path.name == "G.safetensors" else data)

    save(Store(tmp_path), 10)
    with pytest.raises(OSError, match=r"G\.safetensors"):
        save(Store(tmp_path, disk=Rotten()), 20)
    assert names(tmp_path) == ["000000000010"]


def test_tensors_that_do_not_fit_are_listed() -> None:
    wanted = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}
    match_tensors(wanted, wanted, "G")
    found = {"a": torch.ones(2), "b": torch.ones(4), "d": torch.ones(1)}
    with pytest.raises(CheckpointError) as caught:
        match_tensors(found, wanted, "G")
    for text in ("c: missing", "d: not in this model", "b: (4,) float32 in the checkpoint, (3,) float32"):
        assert text in str(caught.value)


# ── a full disk ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_full_disk_at_every_operation_leaves_the_last_good_one(tmp_path: Path, before: int, lasting: bool) -> None:
    counted = Watched(piece=200)
    for images in range(10, 10 * before + 20, 10):
        counted.operations.clear()
        save(Store(tmp_path / "count", disk=counted), images)
    for k in range(len(counted.operations)):
        directory = tmp_path / f"at{k}"
        for images in range(10, 10 * before + 10, 10):
            save(Store(directory, disk=Watched()), images)
        disk = Failing(k, lasting=lasting, piece=200)
        store = Store(directory, disk=disk)
        last, new = 10 * before, 10 * before + 10
        operation = counted.operations[k][0]
        try:
            save(store, new)
            done = True
        except OSError as error:
            assert error.errno in (errno.ENOSPC, errno.EIO if operation == "read" else errno.ENOSPC)
            done = False
            if directory.is_dir():
                assert not [name for name in names(directory) if name.startswith(".tmp")]
        found = Store(directory).newest()
        if found is None:
            assert before == 0 and not done
        else:
            assert_holds(found, found.images)
            assert found.images in ((new,) if done else (last, new)) and not found.rejected
        if operation in NEEDS_SPACE:
            assert not done
        disk.mended = True
        save(store, new + 10)  # there is space again
        assert_holds(Store(directory).newest(), new + 10)
        assert not [name for name in names(directory) if name.startswith(".tmp")]


# ── kills ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_child(act: Callable[[], object]) -> int:
    """What became of a forked child that did `act`: 0, or the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


class Still(Watched):
    """Sees that nothing happens in `folder` but what the disk is asked for: after an operation is before the next.

    Remembers which operations change what is there.
    """

    def __init__(self, folder: Path, *, piece: int) -> None:
        super().__init__(piece=piece)
        self.folder, self.left, self.changing = folder, tree(folder), list[int]()

    def before(self, k: int, operation: str) -> None:
        assert tree(self.folder) == self.left, f"something happened before operation {k}, {operation}"

    def after(self, k: int, operation: str) -> None:
        found = tree(self.folder)
        if found != self.left:
            self.changing.append(k)
        self.left = found


def tree(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.skipif(os.name == "nt", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("already", [(), (10, 20), (10, 20, 30)], ids=str)
def test_a_kill_before_or_after_any_operation_leaves_the_old_or_the_new(
    tmp_path: Path, already: tuple[int, ...]
) -> None:
    """There is none yet, the oldest must go, or the newest is saved again. A kill after an operation is
    one before the next, since nothing happens in between (`Still`); only after the last there is none. One before an
    operation that changes nothing (a read, say) leaves what one after it leaves."""
    new, last = (10 * len(already) + 10 if len(already) < 3 else 30), (already[-1] if already else None)
    for images in already:
        save(Store(tmp_path / "before", disk=Watched()), images)
    (tmp_path / "before").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "before", tmp_path / "count")
    counted = Still(tmp_path / "count", piece=400)
    save(Store(tmp_path / "count", disk=counted), new)
    operations = [operation for operation, _ in counted.operations]
    published = max(k for k, operation in enumerate(operations) if operation == "sync")
    assert {operations[k] for k in counted.changing} >= {"create", "write", "rename"}
    kills = {k: Killing(before_k=k, piece=400) for k in counted.changing}
    kills[len(operations)] = Killing(after_k=len(operations) - 1, piece=400)
    for k, disk in kills.items():
        directory = tmp_path / f"{k}"
        shutil.copytree(tmp_path / "before", directory)
        assert in_child(partial(save, Store(directory, disk=disk), new)) == signal.SIGKILL
        found = Store(directory).newest()
        if found is None:
            assert last is None and k < published
        else:
            assert found.images in (last, new) and not found.rejected
            assert_holds(found, found.images)
            assert k < published or found.images == new
        store = Store(directory, disk=Watched())
        save(store, new)  # resume, reach the same place, go on
        save(store, new + 10)
        assert_holds(store.newest(), new + 10)
        assert names(directory) == [f"{new:012d}", f"{new + 10:012d}"]
        shutil.rmtree(directory)


# ── a power cut: every state the disk may be in, by what was forced and what was not ──────────────────────────────


class Protocol(Disk):
    """Remembers operations as changes of inodes: names live in directories, data in files, each forced on its own
    (Pillai et al. 2014, "All file systems are not created equal", OSDI).
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.inode, self.live = {root: 0}, 1
        self.steps: list[tuple[Any, ...]] = []

    def _add(self, path: Path) -> int:
        self.inode[path], self.live = self.live, self.live + 1
        return self.inode[path]

    def make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir()
            node = self._add(folder)
            self.steps.append(("names", [(self.inode[folder.parent], folder.name, node)], "directory"))
            self.sync(folder.parent)

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        node = self._add(path)
        self.steps.append(("names", [(self.inode[path.parent], path.name, node)], "file"))
        self.steps.append(("data", node, data))
        self.steps.append(("forced data", node))

    def sync(self, folder: Path) -> None:
        self.steps.append(("forced names", self.inode[folder]))

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)
        moved = {path: node for path, node in self.inode.items() if path == old or old in path.parents}
        for path, node in moved.items():
            del self.inode[path]
            self.inode[new / path.relative_to(old)] = node
        node = self.inode[new]
        parents = self.inode[old.parent], self.inode[new.parent]
        self.steps.append(("names", [(parents[0], old.name, None), (parents[1], new.name, node)], "rename"))

    replace = rename

    def step(self, operation: str, path: Path, act: Any) -> Any:
        if operation in ("unlink", "rmdir"):
            self.steps.append(("names", [(self.inode[path.parent], path.name, None)], operation))
        return act()


def crash_states(steps: list[tuple[Any, ...]], dice: random.Random, most: int) -> list[dict[str, bytes]]:
    """Some of the trees (path → data) that a power cut after `steps` may leave."""
    changes = [(i, step) for i, step in enumerate(steps) if step[0] == "names"]
    kinds = {entries[-1][2]: what for _, (_, entries, what) in changes if what in ("file", "directory")}
    forced = set()
    for i, (_, entries, _) in changes:
        for later in steps[i:]:
            if later[0] == "forced names" and later[1] in {node for node, _, _ in entries}:
                forced.add(i)
    loose = [i for i, _ in changes if i not in forced]
    data, safe = {}, set()
    for step in steps:
        if step[0] == "data":
            data[step[1]] = step[2]
        if step[0] == "forced data":
            safe.add(step[1])
    states = []
    for number in range(most):
        share = (0.0, 1.0)[number] if number < 2 else dice.random()
        applied = forced | {i for i in loose if dice.random() < share}
        folders: dict[int, dict[str, int]] = {0: {}}
        for i, (_, entries, _) in changes:
            if i in applied:
                for folder, name, node in entries:
                    names_here = folders.setdefault(folder, {})
                    names_here.pop(name, None)
                    if node is not None:
                        names_here[name] = node
        whole = {n: d if n in safe else d[: dice.choice((0, len(d) // 2, len(d)))] for n, d in data.items()}
        tree: dict[str, bytes] = {}

        def collect(folder: int, above: str, folders: Any = folders, tree: Any = tree, whole: Any = whole) -> None:
            for name, node in folders.get(folder, {}).items():
                if kinds[node] == "file":
                    tree[above + name] = whole.get(node, b"")
                else:
                    tree[above + name + "/"] = b""
                    collect(node, above + name + "/")

        collect(0, "")
        if tree not in states:
            states.append(tree)
    return states


def test_a_power_cut_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    dice, root, tried = random.Random(0), tmp_path / "live", 0
    root.mkdir()
    disk = Protocol(root)
    store = Store(root, disk=disk, run="r")
    marks: list[tuple[int, int]] = []  # after how many steps which save had returned
    best_from = 0
    for images in (10, 20, 20, 30, 40):
        save(store, images)
        marks.append((len(disk.steps), images))
        if images == 20 and not best_from:
            store.mark_best(20, 1.0)
            best_from = len(disk.steps)
    for upto in range(len(disk.steps) + 1):
        returned = [images for steps, images in marks if steps <= upto]
        coming = next((images for steps, images in marks if steps > upto), None)
        for tree in crash_states(disk.steps[:upto], dice, most=5):
            tried += 1
            crashed = tmp_path / "crashed"
            crashed.mkdir()
            for name, data in tree.items():
                if name.endswith("/"):
                    (crashed / name).mkdir(parents=True)
                else:
                    (crashed / name).write_bytes(data)
            found = Store(crashed).newest()
            allowed = {returned[-1] if returned else None, coming}
            assert (found and found.images) in allowed, (upto, tree.keys())
            if found is not None:
                assert not found.rejected
                assert_holds(found, found.images)
            again = Store(crashed, disk=Watched(), run="r")
            assert upto < best_from or again.best() == (20, 1.0, "")
            save(again, 50)
            assert_holds(again.newest(), 50)
            shutil.rmtree(crashed)
    assert tried > 300


# ── which ones stay ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_the_best_and_the_healthy_stay(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    save(store, 10)
    store.mark_best(10, 0.5)
    for images in (20, 30, 40):
        save(store, images)
    assert names(tmp_path) == ["000000000010", "000000000030", "000000000040", "best.json"]
    assert store.best() == (10, 0.5, "")
    for images in (50, 60, 70):
        save(store, images, healthy=False)
    assert [int(name) for name in names(tmp_path)[:-1]] == [10, 30, 40, 60, 70]
    for images in (80, 90):
        save(store, images)
    store.mark_best(90, 0.4)
    save(store, 100)
    assert [int(name) for name in names(tmp_path)[:-1]] == [90, 100]
    with pytest.raises(ValueError):
        store.mark_best(10, 0.1)


def test_nothing_is_removed_until_enough_others_are_valid(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=2)
    save(store, 10)
    path = save(store, 20)
    (path / "G.safetensors").write_bytes(b"rot")
    save(store, 30)
    assert [int(name) for name in names(tmp_path)] == [10, 30]
    assert_holds(store.newest(), 30)


def test_what_was_just_saved_stays_even_behind_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for images in (20, 30, 10):
        save(store, images)
    assert [int(name) for name in names(tmp_path)] == [10, 30]


def test_a_rollback_is_not_undone_by_the_next_resume(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=3)
    for images in (10, 20, 30):
        save(store, images)
    store.forget_after(10)
    assert_holds(store.newest(), 10)
    save(store, 15)
    assert_holds(store.newest(), 15)


def test_what_is_not_ours_is_neither_used_nor_removed(tmp_path: Path) -> None:
    other = Store(tmp_path, run="other")
    save(other, 999)
    alive = f".tmp-{os.getppid()}-{'0' * 16}"
    strange = f".tmp-{2**22 + 1}-{'0' * 16}"
    dead = f".tmp-{2**22 + 1}-{'1' * 16}"
    kept = [alive, strange, ".tmp-mine", "notes.txt", "000000000001 copy"]
    for name in (*kept, dead):
        (tmp_path / name).mkdir()
    (tmp_path / strange / "thesis.tex").write_text("three years of work")
    (tmp_path / dead / "G.safetensors").write_text("half")
    store = Store(tmp_path, run="mine")
    for images in (10, 20, 30, 40):
        save(store, images)
    found = store.newest()
    assert_holds(found, 40)
    assert found is not None and "another run" in found.rejected[0]
    assert set(names(tmp_path)) == {*kept, "000000000030", "000000000040", "000000000999"}
    assert (tmp_path / strange / "thesis.tex").exists()


def test_the_name_of_the_run_goes_on(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    save(first, 10)
    save(second, 20)
    assert first.at(10).manifest.run == second.at(20).manifest.run != ""
    assert_holds(first.newest(), 20)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    save(Store(tmp_path), 10)
    (tmp_path / f".tmp-{os.getpid()}-{'0' * 16}").mkdir()
    disk = Watched()
    store = Store(tmp_path, disk=disk)
    store.newest()
    store.best()
    assert {operation for operation, _ in disk.operations} == {"read"}


def test_marking_the_best_on_a_full_disk_keeps_the_old_mark(tmp_path: Path) -> None:
    for images in (10, 20):
        save(Store(tmp_path), images)
    Store(tmp_path).mark_best(10, 0.5)
    for k in range(5):  # create, write, flush, rename, sync
        with pytest.raises(OSError):
            Store(tmp_path, disk=Failing(k)).mark_best(20, 0.25)
        assert Store(tmp_path).best() == ((10, 0.5, "") if k < 4 else (20, 0.25, ""))
        assert names(tmp_path) == ["000000000010", "000000000020", "best.json"]
    assert Store(tmp_path, disk=Failing(5)).mark_best(10, 0.5) is None


def test_who_looks_while_a_run_saves_finds_the_newer_one(tmp_path: Path) -> None:
    save(Store(tmp_path), 10)

    class Late(Disk):
        """By the time it reads, what it saw listed is gone."""

        def read(self, path: Path) -> bytes:
            if path.parent.name == "000000000010":
                for images in (20, 30):
                    save(Store(tmp_path), images)
                shutil.rmtree(path.parent, ignore_errors=True)
            return super().read(path)

    assert_holds(Store(tmp_path, disk=Late()).newest(), 30)


@pytest.mark.parametrize("seed", range(16))
def test_random_lives(tmp_path: Path, seed: int) -> None:
    """Saves, full disks, kills, resumes, marks, holds, rollbacks, in any order. Always: the newest that was saved (or
    the one whose save was broken off) is found, whole; at least two are valid once two were; the best stays, and so
    does the newest healthy one, to which a rollback goes.
    """
    dice = random.Random(seed)
    keep = dice.choice((2, 2, 3))
    images, last, saved, best, sound = 0, None, 0, None, 0
    stranger = tmp_path / "000000000000"
    save(Store(tmp_path, disk=Watched(), run="stranger"), 0)
    for _ in range(60):
        what = dice.choices(("save", "full", "lasting", "kill", "best", "hold", "rollback"), (8, 3, 2, 4, 3, 2, 1))[0]
        disk: Watched = Watched()
        if what in ("full", "lasting"):
            disk = Failing(dice.randrange(60), lasting=what == "lasting", piece=300)
        if what == "kill":
            disk = Dying(dice.randrange(60), piece=300)
        store = Store(tmp_path, keep, disk, run="r")  # as after a resume
        try:
            if what == "best":
                if last is not None:
                    store.mark_best(last, dice.random())
                    best = last
            elif what == "rollback":
                back = store.newest_healthy(images)
                assert (back.images if back is not None else 0) == sound
                if back is not None and (best is None or best <= back.images):
                    images = last = back.images
                    store.forget_after(last)
                    save(store, last)  # again, as the loop does
                    saved = 1
            else:
                images += dice.choice((0, 10, 10, 20)) if images else 10
                sound = 0 if images == sound and what == "hold" else sound
                save(store, images, healthy=what != "hold")
                saved, last = saved + (images != last), images
        except (OSError, Death):
            pass
        try:
            found = Store(tmp_path, run="r").newest()
        except CheckpointError:  # nothing but the stranger's
            assert last is None
            images = 0
            continue
        assert found is not None
        assert_holds(found, found.images)
        assert found.images == last or (what in ("full", "lasting", "kill") and found.images == images)
        saved += found.images != last
        images = last = found.images  # resume from there
        whole, healthy = [], []
        for n, path in store._entries():
            with contextlib.suppress(CheckpointError):
                if path != stranger:
                    healthy += [n] if Checkpoint.open(path).manifest.healthy else []
                    whole.append(n)
        assert len(set(whole)) >= min(saved, 2), (what, whole)
        assert len(set(whole)) <= 2 * keep + 3
        assert best is None or best in whole
        assert max(healthy, default=0) >= sound and len(set(healthy)) <= 2 * keep + 2
        sound = max(healthy, default=0)
        assert stranger.exists()
    with contextlib.suppress(FileNotFoundError):
        save(Store(tmp_path, keep, Watched(), run="r"), images + 10)
    assert not [name for name in names(tmp_path) if name.startswith(".tmp")]
