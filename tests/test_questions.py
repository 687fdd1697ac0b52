"""Questions of new users: each is answered briefly, and leads to where it is answered in full."""

import re

import pytest

from documents import ROOT, TEXTS, anchors, links

PAGE = "docs/questions.md"
QUESTIONS = dict(
    re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", TEXTS[PAGE], re.MULTILINE),
)


def places(text, page):
    """Files, named from the root, and anchors that the links of a page's text lead to."""
    for link in links(text):
        target, _, anchor = link.partition("#")
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        yield path.relative_to(ROOT.resolve()).as_posix(), anchor


def test_there_are_twenty_or_more():
    assert len(QUESTIONS) >= 20
    assert len(QUESTIONS) == TEXTS[PAGE].count("\n## ")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_a_short_answer_and_a_link(question):
    answer, _, full = QUESTIONS[question].partition("In full: ")
    assert question.endswith("?")
    assert 15 <= len(answer.split()) <= 90
    assert list(places(full, PAGE))


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_leads_to_a_heading_that_is_there(question):
    for path, anchor in places(QUESTIONS[question], PAGE):
        assert path in TEXTS, path
        assert not anchor or anchor in anchors(TEXTS[path]), f"{path}#{anchor}"


def clicks(start):
    """How many links each document is away from one of them."""
    away, ahead = {start: 0}, [start]
    for path in ahead:
        for other, _ in places(TEXTS[path], path):
            if other in TEXTS and other not in away:
                away[other] = away[path] + 1
                ahead.append(other)
    return away


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_two_clicks_lead_from_the_first_page_to_every_full_answer(start):
    away = clicks(start)
    assert away[PAGE] == 1
    for text in QUESTIONS.values():
        assert all(away[path] <= 2 for path, _ in places(text, PAGE) if path in TEXTS)
