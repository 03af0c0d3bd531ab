"""``python -m vinci_code``: the same as the command ``vinci``."""

import sys

from vinci_code.cli import main

if __name__ == "__main__":
    sys.exit(main())
