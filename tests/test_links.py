"""Links in README.md and under docs/ lead to files that are there and to headings in them."""

import re

import pytest

from documents import ROOT, TEXTS, anchors, links

# Pages that the site's build writes, from docstrings and from stored results.
BUILT = re.compile(r"docs/(reference/generated/|auto_gallery/)")
# Notebooks are copied for it.
COPIED = ("docs/course/", "notebooks/")


def local(path):
    """Links of a document that stay in the repository: target from its root, anchor."""
    for link in links(TEXTS[path]):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (ROOT / path).parent / target if target else ROOT / path
        yield link, place.resolve(), anchor


@pytest.mark.parametrize("path", TEXTS)
def test_links_lead_somewhere(path):
    dead = []
    for link, place, anchor in local(path):
        name = place.relative_to(ROOT.resolve()).as_posix()
        if BUILT.match(name):
            continue
        if place.suffix == ".ipynb":
            place = ROOT / name.replace(*COPIED)
        if not place.exists() or (anchor and anchor not in anchors(TEXTS[name])):
            dead.append(link)
    assert dead == []


def test_anchors_are_those_of_code_hosts():
    page = "# A `code`, and: more\n(mark)=\n## Two\n```python\n# none\n```\n## Two\n### [x](y) z\n"
    assert anchors(page) == ["mark", "a-code-and-more", "two", "two-1", "x-z"]


def test_links_in_code_are_none():
    assert links("[a](b.md#c) ![picture](p.png)\n```py\n[d](e)\n```\n<!-- [f](g) -->") == ["b.md#c"]


def test_every_page_is_reached_from_the_first():
    """By links alone, so on a code host as well."""
    seen, ahead = set(), ["README.md"]
    while ahead:
        path = ahead.pop()
        if path in seen or path not in TEXTS:
            continue
        seen.add(path)
        ahead += [place.relative_to(ROOT.resolve()).as_posix() for _, place, _ in local(path)]
    assert set(TEXTS) - seen == set()
