"""Snapshots in exactly the published layouts: pickled by Python's own pickler, from networks of `published_networks`
and `published_r3gan`, under the names that the classes have there.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from tests.export import published_networks, published_r3gan
from torch import nn

SOURCE = "import os\nos.system('touch canary')  # what a reader that executes would run\n"
_OF_R3GAN = {
    "Generator": "training.networks", "Model": "R3GAN.Networks", "BiasedActivationCUDA": "R3GAN.FusedOperators",
    "InterpolativeUpsamplerCUDA": "R3GAN.Resamplers",
}  # fmt: skip


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("executed")


class Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writes classes under their published names, and those of StyleGAN2 with their source."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        ours = isinstance(obj, nn.Module) and type(obj).__module__ == published_networks.__name__
        if ours and id(obj) not in self.memo:
            meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": type(obj).__name__,
                    "state": obj.__dict__}  # fmt: skip
            self.save_reduce(_reconstruct_persistent_obj, (meta,), obj=obj)
        else:
            super().save(obj, save_persistent_id)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "")
        if obj is _reconstruct_persistent_obj:
            self.named("torch_utils.persistence", obj.__name__)
        elif obj is published_networks.EasyDict:
            self.named("dnnlib.util", "EasyDict")
        elif module == published_r3gan.__name__:
            name = "Generator" if obj is published_r3gan.Model else obj.__name__
            self.named(_OF_R3GAN.get(obj.__name__, "R3GAN.Networks"), name)
        else:
            super().save_global(obj, name)
            return
        self.memoize(obj)

    def named(self, module: str, name: str) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(b"\x93")
        else:
            self.write(f"c{module}\n{name}\n".encode())

    dispatch = {**pickle._Pickler.dispatch, type: save_global, type(_reconstruct_persistent_obj): save_global}  # type: ignore[attr-defined]


def pickled(what: Any, protocol: int = 4) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol).dump(what)
    return file.getvalue()


def snapshot(network: nn.Module, protocol: int = 4, **others: Any) -> bytes:
    """What ``pickle.dump(snapshot_data)`` of the published training loops writes."""
    kept = {"G": None, "D": None, "G_ema": network.eval().requires_grad_(False), "augment_pipe": None}
    kwargs = published_networks.EasyDict(class_name="training.dataset.ImageFolderDataset", path="x.zip", xflip=True)
    return pickled({**kept, "training_set_kwargs": kwargs, **others}, protocol)
