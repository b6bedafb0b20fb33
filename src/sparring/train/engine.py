"""Where the numbers are computed: device, precision, layout, and the processes that share a batch.

Networks are never wrapped: one flat collective averages the gradients of the player that moves. Wrappers that hook into
backward fail on penalties that take a second backward of their own (measured, see docs/architecture.md).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparring.errors import MachineError, UsageError
from sparring.types import Batch

PEER_TIMEOUT = timedelta(seconds=50)
"""A process that waits longer than this for another one gives up, so that a dead peer ends the job within a minute."""


@dataclass(frozen=True)
class Engine:
    """One process's share of the work.

    device: where tensors live.   precision: "fp32" or "bf16" (autocast).   memory_format: of images and 4-D weights.
    rank, size: this process among those that share every batch.
    """

    device: torch.device
    precision: str = "fp32"
    memory_format: torch.memory_format = torch.contiguous_format
    rank: int = 0
    size: int = 1

    # ── one process ──────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, batch: Batch) -> Batch:
        """The batch on the device: uint8 images become float in [-1, 1], in this engine's layout."""

        def put(tensor: Tensor) -> Tensor:
            tensor = tensor.to(self.device, non_blocking=True)
            if tensor.dtype == torch.uint8:
                tensor = tensor.float().div_(127.5).sub_(1.0)
            return tensor.contiguous(memory_format=self.memory_format) if tensor.dim() == 4 else tensor

        return batch.map(put)

    def settle(self, game: nn.Module) -> None:
        """Move a game's networks to the device and into the layout, in place."""
        game.to(self.device)
        stacked = any(p.dim() > 4 for p in game.parameters())  # an ensemble's kernels: there is no such layout for them
        if self.memory_format == torch.channels_last and not stacked:
            game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def autocast(self) -> AbstractContextManager[object]:
        """bf16 autocast, or nothing."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of `loss` into the parameters that are not frozen."""
        loss.backward()  # type: ignore[no-untyped-call]

    def gradient_norm(self, module: nn.Module, members: int | None = None) -> Tensor:
        """The global norm of a player's gradient, on the device: not finite if any entry is not.

        members: of an ensemble; then (members,), each the norm of its own.
        """
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if members is not None:
            zero = torch.zeros(members, device=self.device)
            squares = (torch.linalg.vector_norm(g.reshape(members, -1), dim=1).square() for g in gradients)
            return sum(squares, zero).sqrt()
        if not gradients:
            return torch.zeros((), device=self.device)
        norms = torch._foreach_norm(gradients)
        return torch.stack(norms).square().sum().sqrt()

    @property
    def checks_at_once(self) -> bool:
        """Whether reading a number from the device costs nothing (so that every step is checked before it is made)."""
        return self.device.type == "cpu"

    # ── several processes ────────────────────────────────────────────────────────────────────────────────────────

    def slice(self, start: int, count: int) -> range:
        """The positions of the stream that belong to this process in a batch of `count` from `start`."""
        each = count // self.size
        return range(start + self.rank * each, start + (self.rank + 1) * each)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Average tensors over the processes in place, in one collective; nothing on one process."""
        self.add_up(tensors)
        if self.size > 1 and tensors:
            torch._foreach_div_(list(tensors), self.size)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors up over the processes in place, in one collective; nothing on one process."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        with _together():
            dist.all_reduce(flat)
        for tensor, piece in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(piece.view(tensor.shape))

    def average_gradients(self, module: nn.Module) -> None:
        """One collective over the player's gradients; nothing on one process."""
        self.average([p.grad for p in module.parameters() if p.grad is not None])

    @torch.no_grad()
    def average_statistics(self, modules: Iterable[nn.Module]) -> None:
        """Average the running statistics of batch normalisation, so that every process keeps the same ones."""
        if self.size == 1:
            return
        norms = [m for module in modules for m in module.modules() if isinstance(m, _BatchNorm)]
        found = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
        self.average(found)

    @torch.no_grad()
    def join_rows(self, rows: Tensor, mine: Tensor) -> None:
        """Rows (P, …) that one process each has written, `mine` (P,) bool, become those of all of them, in place."""
        if self.size == 1:
            return
        written = mine.to(torch.uint8)
        with _together():
            dist.all_reduce(written, op=dist.ReduceOp.MAX)
            places = written.nonzero().flatten()
            if len(places):
                part = rows[places].contiguous() * mine[places].view(-1, *[1] * (rows.dim() - 1))
                dist.all_reduce(part)  # a sum in which all but one are 0
                rows[places] = part

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a small tensor over the processes."""
        if self.size > 1:
            value = value.clone()
            with _together():
                dist.all_reduce(value)
            value /= self.size
        return value

    def agree(self, flag: int) -> int:
        """The largest flag that any process raises: all of them then do the same."""
        if self.size == 1:
            return flag
        tensor = torch.tensor([flag], device=self.device)
        with _together():
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor.item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            with _together():
                dist.barrier()

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


@contextmanager
def _together() -> Iterator[None]:
    """What is done by all processes at once: says in plain words when one of the others is gone."""
    try:
        yield
    except RuntimeError as error:
        raise MachineError(
            "PEER",
            f"rank {dist.get_rank()} lost another process of this run",
            why=str(error).splitlines()[0],
            fix="the other process says above or below why it ended; then `sparring resume` goes on",
        ) from error


def choose_device(name: str) -> torch.device:
    """ "auto", "cpu", "cuda", "cuda:1", "mps" → a device that exists here; `MachineError` otherwise."""
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    kind, colon, index = name.partition(":")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available or (colon and not (index.isdecimal() and len(index) < 4)):
        raise UsageError(
            "DEVICE-UNKNOWN", "no such kind of device", where=name, fix="use auto, cpu, cuda, cuda:1 or mps"
        )
    if not available[kind] or (kind == "cuda" and colon and int(index) >= torch.cuda.device_count()):
        raise MachineError("DEVICE-ABSENT", "this machine has no such device", where=name, fix="use --device auto")
    return torch.device(name)


def local_rank() -> int:
    """This process's number on its machine, as torchrun says; 0 without torchrun."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world() -> tuple[int, int]:
    """(rank, size) as torchrun says; (0, 1) without torchrun."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def join(device: torch.device) -> tuple[int, int]:
    """Join the processes that torchrun started, once and until this process ends: (rank, size), or (0, 1) alone."""
    rank, size = world()
    if size > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(local_rank())
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PEER_TIMEOUT)
        atexit.register(dist.destroy_process_group)
    return rank, size
