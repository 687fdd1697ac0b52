"""Every public name has a page in the reference, and estimators' HTML representations link to it.

With NNJIT_SITE, the folder of the built site, the pages are looked for there as well.
"""

import importlib
import os
import re
import sys
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils import estimator_html_repr

import nnjit
from nnjit._site import SITE, page_of

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"
BUILT = os.environ.get("NNJIT_SITE")


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(EXTENSIONS))
    try:
        return importlib.import_module("reference_pages")
    finally:
        sys.path.remove(str(EXTENSIONS))


def estimators():
    """Name and class of every public estimator of the package."""
    for module in ("nnjit", "nnjit.agents"):
        for name in sorted(importlib.import_module(module).__all__):
            cls = getattr(importlib.import_module(module), name)
            if isinstance(cls, type) and issubclass(cls, BaseEstimator):
                yield f"{module}.{name}", cls


ESTIMATORS = dict(estimators())


def made(cls):
    """An estimator of a class with nothing but what it has to be given."""
    return cls(nnjit.MLPClassifier()) if cls is nnjit.HiddenFeatures else cls()


def listed_pages(reference):
    """Names that the module pages list, each of which autosummary makes a page for."""
    return {
        f"{module}.{name}"
        for module in reference.public_modules()
        for name in re.findall(r"^   (\w+)$", reference.module_page(module), re.MULTILINE)
    }


def test_every_public_name_is_listed_once_in_the_reference(reference):
    public = {
        f"{module}.{name}"
        for module in ("nnjit", "nnjit.layers", "nnjit.inspection", "nnjit.functional",
                       "nnjit.forecasting", "nnjit.agents", "nnjit.interop", "nnjit.exceptions")
        for name in importlib.import_module(module).__all__
        if callable(getattr(importlib.import_module(module), name))
    }  # fmt: skip
    assert len(public) > 85
    assert public <= listed_pages(reference)


def test_rooms_inside_are_not_in_the_reference(reference):
    modules = reference.public_modules()
    assert modules[0] == "nnjit"
    assert not {"nnjit.core", "nnjit.estimators", "nnjit.backends", "nnjit.cli"} & set(modules)


def test_all_estimators_are_looked_at():
    assert len(ESTIMATORS) >= 18
    assert {"nnjit.MLPClassifier", "nnjit.HiddenFeatures", "nnjit.agents.QAgent"} < set(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_links_to_its_page(name, reference):
    estimator = made(ESTIMATORS[name])
    address = page_of(name)
    assert address == f"{SITE}reference/generated/{name}.html"
    for html in (estimator._repr_html_(), estimator_html_repr(clone(estimator))):
        assert f'href="{address}"' in html
    assert name in listed_pages(reference)
    if BUILT:
        assert Path(BUILT, address.removeprefix(SITE)).is_file()


def test_an_estimator_in_a_pipeline_links_too():
    from sklearn.pipeline import make_pipeline

    html = make_pipeline(nnjit.SeriesScaler(), nnjit.ConvClassifier())._repr_html_()
    assert page_of("nnjit.SeriesScaler") in html and page_of("nnjit.ConvClassifier") in html


def test_a_class_from_elsewhere_has_no_link_and_members_that_of_their_public_class():
    from nnjit.estimators._tabular_members import ClassMember

    class Own(nnjit.MLPClassifier):
        pass

    assert Own()._get_doc_link() == ""
    assert ClassMember()._get_doc_link() == page_of("nnjit.NetworkClassifier")


@pytest.mark.skipif(not BUILT, reason="needs the built site's folder in NNJIT_SITE")
def test_every_listed_name_has_a_page_with_its_anchor(reference):
    for name in listed_pages(reference):
        page = Path(BUILT, "reference", "generated", f"{name}.html")
        assert f'id="{name}"' in page.read_text(encoding="utf-8"), name
