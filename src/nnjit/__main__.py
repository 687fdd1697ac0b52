"""`python -m nnjit`."""

import sys

from nnjit.cli import main

if __name__ == "__main__":
    sys.exit(main())
