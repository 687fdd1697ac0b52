"""The documents that people read: README.md and the pages under docs/, their code and their links.

A block fenced as ```python runs, alone and quietly, in an empty folder; one that begins with
`# src/nnjit/` goes into that file instead (tests/test_recipe.py). What is only shown is fenced as
```py.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MADE = {"auto_gallery", "generated"}  # folders of what the site's build writes


def documents():
    """README.md and every page of docs/, as paths from the repository's root."""
    found = [path.relative_to(ROOT) for path in sorted((ROOT / "docs").rglob("*.md"))]
    written = [
        path
        for path in found
        if not any(part in MADE or part.startswith(("_", ".")) for part in path.parts)
    ]
    return [README.relative_to(ROOT), *written]


def read(path):
    """The text of a document, named from the repository's root."""
    return (ROOT / path).read_text(encoding="utf-8")


TEXTS = {path.as_posix(): read(path) for path in documents()}


@dataclass(frozen=True)
class Block:
    """A block of Python and where it stands."""

    path: str
    number: int
    code: str

    def __str__(self):
        return f"{self.path}-{self.number}"


def blocks():
    """All blocks of Python, in the order of the documents."""
    fence = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        Block(path, number, code)
        for path, text in TEXTS.items()
        for number, code in enumerate(fence.findall(text), start=1)
    ]


RECIPE = re.compile(r"# src/nnjit/(\S+)\n")
EXAMPLES = [block for block in blocks() if not RECIPE.match(block.code)]
STEPS = [block for block in blocks() if RECIPE.match(block.code)]


def table(name):
    """The lines of the table between the marks of that name, and the document that has it."""
    before, after = f"<!-- {name} -->", f"<!-- end of {name} -->"
    [(path, text)] = [item for item in TEXTS.items() if before in item[1]]
    assert text.count(before) == text.count(after) == 1
    return path, text.split(before)[1].split(after)[0].strip().splitlines()


def prose(text):
    """A document without its blocks of code and its comments."""
    return re.sub(r"^(`{3,}).*?^\1`*$|<!--.*?-->", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """Names of a page's headings and labels as MyST and code hosts make them."""
    names = re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)
    for heading in re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = sum(
            re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in names
        )
        names.append(f"{name}-{count}" if count else name)
    return names


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(<?([^)\s>]+)>?\)")


def links(text):
    """Targets of the links in a document's prose, pictures left out."""
    return LINK.findall(prose(text))
