"""The check of the built site complains about each thing that it is there for."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_site.py"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
PAGE = """<!doctype html><html><head><meta name="viewport" content="width=device-width">
<title>page</title><link rel="icon" href="there.svg"></head><body>{}</body></html>"""


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_site", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path):
    """A function that writes pages given by name, and gives their folder."""

    def write(**pages):
        tmp_path.joinpath("there.svg").write_text(PICTURE)
        for name, body in pages.items():
            tmp_path.joinpath(f"{name}.html").write_text(PAGE.format(body))
        return tmp_path

    return write


GOOD = """<h1 id="here">x</h1><img src="there.svg">
<a href="good.html#here">x</a><a href="#here">x</a>"""


def test_a_good_page_has_no_complaint(tool, site):
    assert tool.check_files(site(good=GOOD)) == []
    assert tool.main([str(site(good=GOOD))]) == 0


@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<a href="nowhere.html">x</a>', "bad.html: leads to no file: nowhere.html"),
        ('<a href="good.html#gone">x</a>', "bad.html: has no such anchor: good.html#gone"),
        ('<a href="#gone">x</a>', "bad.html: has no such anchor: #gone"),
        ('<img src="gone.png">', "bad.html: leads to no file: gone.png"),
        ('<script src="gone.js"></script>', "bad.html: leads to no file: gone.js"),
        (
            '<script src="https://cdn.example.org/x.js"></script>',
            "bad.html: fetched from elsewhere: https://cdn.example.org/x.js",
        ),
    ],
)
def test_addresses_that_lead_nowhere_are_told(tool, site, body, complaint, capsys):
    folder = site(good=GOOD, bad=body)
    assert tool.check_files(folder) == [complaint]
    assert tool.main([str(folder)]) == 1
    assert capsys.readouterr().out == complaint + "\n"


def test_links_to_other_sites_are_let_be(tool, site):
    assert tool.check_files(site(good='<a href="https://example.org/gone">x</a>')) == []


BAD = {
    "picture": '<img src="gone.png">',
    "script": "<script>undefined_function()</script>",
    "thrown": "<script>console.error('said so')</script>",
    "wide": '<table><tr><td style="min-width: 700px">x</td></tr></table>',
    "boxed": '<div style="overflow-x: auto"><p style="width: 5000px">x</p></div>' + GOOD,
}


def test_the_browser_finds_what_is_broken_and_nothing_else(tool, site):
    if reason := tool.browser_missing():
        pytest.skip(reason)
    folder = site(good=GOOD, **BAD, search="no results here")
    tool.SEARCH_SECONDS = 3  # nothing is found, however long one waits
    complaints = tool.check_in_browser(folder)
    about = {page: [c for c in complaints if c.startswith(page)] for page in [*BAD, "good"]}
    assert about["good"] == about["boxed"] == []
    for device in tool.WIDTHS:
        assert any(f"({device}): picture not shown: http" in c for c in about["picture"])
        assert any(f"({device}): script: " in c and "undefined_function" in c
                   for c in about["script"])  # fmt: skip
        assert any("said so" in c and device in c for c in about["thrown"])
        assert f"search ({device}): the search for 'early_stopping' finds nothing" in complaints
    # a desktop is wide enough for 700
    (wide,) = about["wide"]
    assert wide.startswith("wide.html (phone): 7") and wide.endswith("390: table, tbody, tr, td")
