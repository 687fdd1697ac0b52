"""The README's two commands, taken from the README.

``python .ci/readme_command.py demo`` prints the one that shows the package at work,
``... tests`` the one that runs its tests.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
ENDS = {"demo": "-m nnjit demo", "tests": "-m pytest -n 2"}


def commands(text):
    """Contents of the bash blocks that start from nothing: they make an environment first."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block.strip() for block in blocks if block.startswith("python3 -m venv ")]


def command(name, text):
    """The command of that name; ValueError unless it stands there once and no third beside."""
    found = commands(text)
    named = [line for line in found if line.endswith(ENDS[name])]
    if len(found) != len(ENDS) or len(named) != 1:
        raise ValueError(f"README.md: two commands expected, one ending in {ENDS[name]}: {found}")
    return named[0]


if __name__ == "__main__":
    print(command(sys.argv[1], README.read_text(encoding="utf-8")))
