"""The page of the package: the README without what only stands beside it in the repository.

Everything else is in pyproject.toml. A package page knows no files, so links to them would be
dead. With a public address of the repository, put it into [project.urls] and, as absolute
links, into the README: those are kept.
"""

import re
from pathlib import Path

from setuptools import setup

TARGET = r"\((?!https?://|#)[^)]*\)"  # a path: neither an address nor a heading


def package_page(readme):
    """The README, a picture from a file left out, a link to a file as its text."""
    without_pictures = re.sub(r"!\[[^\]]*\]" + TARGET + r"\n*", "", readme)
    return re.sub(r"\[([^\]]*)\]" + TARGET, r"\1", without_pictures)


setup(
    long_description=package_page(Path(__file__).with_name("README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
)
