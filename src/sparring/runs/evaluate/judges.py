"""The judge networks by name, with those that are runs."""

from __future__ import annotations

import torch

from sparring.metrics import extractors
from sparring.metrics.extractors import ClassifierFeatures
from sparring.metrics.features import Extractor
from sparring.runs.run import Run
from sparring.train.engine import choose_device


def open_judge(name: str, device: str = "auto") -> Extractor:
    """An extractor by the name that ``--features`` takes, on a device."""
    where = choose_device(device) if device in ("auto", "cpu", "cuda", "mps") else torch.device(device)

    def open_run(path: str) -> ClassifierFeatures:
        run = Run(path, device=where.type)
        return ClassifierFeatures(run.game, tuple(run.document["data"]["shape"]), run.classes, path)

    return extractors.open(name, where, open_run=open_run)
