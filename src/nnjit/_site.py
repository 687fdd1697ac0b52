"""Where the documentation stands, and on which of its pages a public name."""

from __future__ import annotations

import sys

__all__ = ["SITE", "LinksToItsPage", "page_of"]

SITE = "https://nnjit.readthedocs.io/en/stable/"


def page_of(public_name: str) -> str:
    """Return the address of a public name's page, such as that of ``nnjit.layers.Conv``."""
    return f"{SITE}reference/generated/{public_name}.html"


def public_name(cls: type) -> str | None:
    """Return the name by which a class, or the first that it derives from, is imported.

    Classes of `nnjit.estimators` are public as nnjit's own, those of another room as that room's.
    None where there is no such class.
    """
    for ancestor in cls.__mro__:
        package, _, rest = ancestor.__module__.partition(".")
        room = rest.partition(".")[0]
        public = package if room == "estimators" else f"{package}.{room}"
        listed = getattr(sys.modules.get(public), "__all__", ())
        if package == "nnjit" and ancestor.__name__ in listed:
            return f"{public}.{ancestor.__name__}"
    return None


class LinksToItsPage:
    """An estimator whose HTML representation links to its page, by scikit-learn's means.

    It comes before `BaseEstimator`, which has a template of its own. A class that somebody derives
    elsewhere has no link.
    """

    _doc_link_module = "nnjit"
    _doc_link_template = "{address}"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        name = public_name(type(self))
        return {"address": "" if name is None else page_of(name)}
