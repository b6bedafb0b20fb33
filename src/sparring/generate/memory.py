"""How much memory a network takes for each pixel of what goes through it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Held(TorchDispatchMode):
    """Counts the bytes of all tensors that were made while this is entered and are still held. most: at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.most = 0
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; to say so, torch would load its whole compiler (4 s)."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._note((args, kwargs), made_here=False)  # weights, of which views are made
        made = func(*args, **(kwargs or {}))
        self._note(made, made_here=True)
        return made

    def _note(self, found: Any, *, made_here: bool) -> None:
        for tensor in tree_leaves(found):
            if not isinstance(tensor, Tensor) or id(tensor.untyped_storage()) in self._known:
                continue
            storage = tensor.untyped_storage()
            size = storage.nbytes() if made_here else 0
            self._known.add(id(storage))
            self.held += size
            self.most = max(self.most, self.held)
            weakref.finalize(storage, self._forget, id(storage), size)

    def _forget(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.held -= size


@torch.inference_mode()
def bytes_per_pixel(forward: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Bytes that ``forward(image)`` holds at the same time for each pixel of `image` (N, C, H, W), weights not counted:
    the same on every machine.

    >>> bytes_per_pixel(lambda x: (x + 1) * (x + 2), torch.zeros(1, 3, 8, 8))  # three maps of 3 · 4 bytes
    36.0
    """
    with _Held() as counted:
        forward(image)
    return counted.most / (image.shape[0] * image.shape[2] * image.shape[3])
