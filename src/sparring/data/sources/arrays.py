"""Images that are already pixels: idx files, data that ships with the package."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from sparring.data.sources.items import Annotations, Item, Items, Pixels, Source


class ArraySource(Source):
    """Images that are already pixels. `load` gives all `count` as (N, H, W, C) uint8, and is called when the first is
    read. stamp: fingerprint of what they come from."""

    def __init__(
        self,
        name: str,
        place: str,
        count: int,
        load: Callable[[], Pixels],
        stamp: str,
        own: Annotations | None = None,
    ) -> None:
        super().__init__(name=name, place=place, own=own or Annotations())
        self._load, self._stamp, self._lock = load, stamp, threading.Lock()
        self._images: Pixels | None = None
        width = len(str(max(count - 1, 0)))
        self.items = Items(Item(f"{number:0{width}d}", "") for number in range(count))

    @property
    def stamp(self) -> str:
        return hashlib.blake2b(f"{self.place}\x1f{self._stamp}".encode(), digest_size=16).hexdigest()

    def read(self, number: int) -> Pixels:
        with self._lock:
            if self._images is None:
                self._images = self._load()
        image: Pixels = self._images[number]
        return image
