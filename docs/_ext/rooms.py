"""The directive `rooms-map`: the package's rooms and who may import whom, drawn from the contract.

Levels are read from pyproject.toml's import contract, which .ci/run holds the code to, and what a
room is for from the first line of its docstring; so the picture cannot go stale.
"""

import ast
import html
import textwrap
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

WIDTH, GAP, LETTERS, LINE = 900, 16, 7.2, 17
ROOT = Path(__file__).parents[2]


def contract(root=ROOT):
    """Levels from the top down, each a list of rooms; and the rooms that stand apart."""
    with open(root / "pyproject.toml", "rb") as stream:
        contracts = tomllib.load(stream)["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["id"] == "rooms")
    levels = [[room.strip() for room in level.split("|")] for level in layers]
    inside = {room for level in levels for room in level}
    apart = {
        source: set(c["forbidden_modules"])
        for c in contracts
        if c["type"] == "forbidden"
        for source in c["source_modules"]
        if source not in inside
    }
    return levels, apart


def purpose(room, root=ROOT):
    """First sentence of a room's docstring."""
    source = root.joinpath("src", *room.split("."), "__init__.py").read_text("utf-8")
    first = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("\n", " ")
    return first.split(". ")[0].rstrip(".")


def imports_of(room, root=ROOT):
    """Rooms that a room's files import from."""
    found = set()
    for path in root.joinpath("src", *room.split(".")).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(".".join(node.module.split(".")[:2]))
    return found


def words(room, width, root):
    """A room's purpose in lines that fit into a box of this width."""
    return textwrap.wrap(purpose(room, root), int((width - 16) / LETTERS))


def height_of(rooms, width, root):
    """Of boxes side by side that have place for the longest of their texts."""
    return 36 + LINE * max(len(words(room, width, root)) for room in rooms)


def width_in(level, main):
    return (main - GAP * (len(level) - 1)) / len(level)


def drawing(root=ROOT):
    """The map as SVG: who stands higher may import from all below, never the other way."""
    levels, apart = contract(root)
    main = WIDTH * 0.76 if apart else WIDTH
    heights = [height_of(level, width_in(level, main), root) for level in levels]
    tops = [GAP + sum(heights[:n]) + n * GAP for n in range(len(levels))]
    height = tops[-1] + heights[-1] + GAP
    parts = [
        f'<svg class="rooms" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="The rooms of nnjit: a room imports from those below it only">',
        '<defs><marker id="rooms-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for number, level in enumerate(levels):
        width, bottom = width_in(level, main), tops[number] + heights[number]
        for place, room in enumerate(level):
            parts += box(room, place * (width + GAP), tops[number], width, heights[number], root)
        for below in levels[number + 1 : number + 2]:
            width = width_in(max(level, below, key=len), main)  # an arrow for each of the narrower
            for place in range(max(len(level), len(below))):
                x = place * (width + GAP) + width / 2
                parts.append(arrow(x, bottom, x, bottom + GAP))
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    for room, forbidden in sorted(apart.items()):
        used = imports_of(room, root)
        aims = [
            y for level, y in zip(levels, middles, strict=True) if used & set(level) - forbidden
        ]
        parts += beside(room, aims, main + 3 * GAP, root)
    return "".join([*parts, "</svg>"])


def beside(room, aims, left, root):
    """A room that stands apart, and arrows to the levels that it may import and does."""
    width = WIDTH - left
    height = height_of([room], width, root)
    top = max(min(aims) - 2 * GAP - height, GAP)
    parts = box(room, left, top, width, height, root)
    for number, y in enumerate(aims):
        x = left + width * (number + 1) / (len(aims) + 1)
        parts.append(
            f'<path class="arrow" d="M{x:.1f} {top + height}V{y}H{left - 3 * GAP + 4:.1f}" '
            'marker-end="url(#rooms-tip)"/>'
        )
    return parts


def box(room, left, top, width, height, root):
    """A room's box: its name and what it is for."""
    middle = f'x="{left + width / 2:.1f}"'
    text = "".join(
        f'<tspan {middle} dy="{LINE}">{html.escape(line.replace("`", ""))}</tspan>'
        for line in words(room, width, root)
    )
    return [
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}" rx="8"/>',
        f'<text class="name" {middle} y="{top + 21:.0f}">{room.partition(".")[2]}</text>',
        f'<text {middle} y="{top + 24:.0f}">{text}</text>',
    ]


def arrow(x, y, to_x, to_y):
    return f'<path class="arrow" d="M{x:.1f} {y}L{to_x:.1f} {to_y}" marker-end="url(#rooms-tip)"/>'


class RoomsMap(Directive):
    """Draws the map where it stands."""

    def run(self):
        self.state.document.settings.env.note_dependency(str(ROOT / "pyproject.toml"))
        return [nodes.raw("", f'<div class="rooms-map">{drawing()}</div>', format="html")]


def setup(app):
    app.add_directive("rooms-map", RoomsMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
