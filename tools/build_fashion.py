"""Build src/sparring/data/builtin/fashion: the 10,000 test images of Fashion-MNIST (Xiao et al. 2017), MIT licence.

    python3 tools/build_fashion.py src/sparring/data/builtin/fashion

On Debian or Ubuntu; downloads the package dataset-fashion-mnist (31 MB, after ``apt-get update``), unpacks it into a
temporary folder and copies two files bit by bit. Nothing is installed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "dataset-fashion-mnist"
FILES = {
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as another user
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
        package = next(folder.glob("*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "content"], cwd=folder, check=True)
        share = folder / "content" / "usr" / "share"
        for file, wanted in FILES.items():
            source = share / "datasets" / "fashion-mnist" / file
            found = hashlib.sha256(source.read_bytes()).hexdigest()
            if found != wanted:
                raise SystemExit(f"{file}: SHA-256 is {found}, expected {wanted}")
            shutil.copyfile(source, target / file)
        licence = (share / "doc" / PACKAGE / "copyright").read_text(encoding="utf-8")
    head = (
        "Fashion-MNIST, https://github.com/zalandoresearch/fashion-mnist\n"
        "The 10,000 images and labels of its test set, unchanged. This licence concerns the files in this folder.\n\n"
    )
    (target / "LICENSE.txt").write_text(head + licence, encoding="utf-8")
    print(f"{len(FILES)} files in {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
