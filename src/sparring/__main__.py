"""``python -m sparring …`` is the command ``sparring …``; torchrun needs this form."""

import sys

from sparring.cli import main

if __name__ == "__main__":
    sys.exit(main())
