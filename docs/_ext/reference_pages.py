"""The API reference: a page for every public module, and by autosummary one for every name in it.

A module of the package is public if it has an `__all__` and is none of the rooms that nobody is
meant to import from. So a new name has its page as soon as it is in an `__all__`.
"""

import importlib
import inspect
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

INTERNAL = {"backends", "cli", "core", "estimators", "formulas", "training"}
FURTHER = ("nnjit.interop.mlflow",)  # public modules further inside
FOLDER = "reference/generated"
TITLES = {
    "nnjit": "Estimators",
    "nnjit.layers": "Layers",
    "nnjit.inspection": "Looking inside",
    "nnjit.functional": "Functions of arrays",
    "nnjit.forecasting": "Forecasting",
    "nnjit.agents": "Agents",
    "nnjit.interop": "Interchange",
    "nnjit.dask": "On Dask",
    "nnjit.rows": "Rows beyond memory",
    "nnjit.callbacks": "Callbacks",
    "nnjit.interop.mlflow": "Logging in MLflow",
    "nnjit.exceptions": "Warnings",
}


def public_modules(missing=None):
    """Names of the public modules: those that are titled above in that order, then others.

    A module whose own library is not installed is left out, and said to the list `missing`.
    """
    import nnjit

    found = []
    candidates = [module.name for module in pkgutil.iter_modules(nnjit.__path__, "nnjit.")]
    for name in ["nnjit", *candidates, *filter(find_spec, FURTHER)]:
        if name.rpartition(".")[2].startswith("_") or name.rpartition(".")[2] in INTERNAL:
            continue
        try:
            if getattr(importlib.import_module(name), "__all__", ()):
                found.append(name)
        except ImportError as error:
            if missing is not None:
                missing.append(f"{name}: {error}")
    order = list(TITLES)
    return sorted(found, key=lambda name: (order.index(name) if name in order else 99, name))


def public_names(module_name):
    """Names of a module that have pages: its classes and functions."""
    module = importlib.import_module(module_name)
    things = {name: getattr(module, name) for name in sorted(module.__all__)}
    return {n: t for n, t in things.items() if inspect.isclass(t) or inspect.isfunction(t)}


def module_page(module_name):
    """A public module's page as reStructuredText."""
    title = TITLES.get(module_name, module_name.partition(".")[2].capitalize())
    title = f"{title}: {module_name}"
    lines = [title, "=" * len(title), "", f".. automodule:: {module_name}", ""]
    names = public_names(module_name)
    classes = [name for name, thing in names.items() if inspect.isclass(thing)]
    functions = [name for name in names if name not in classes]
    for heading, listed in (("Classes", classes), ("Functions", functions)):
        if listed:
            lines += [heading, "-" * len(heading), "", f".. currentmodule:: {module_name}", ""]
            lines += [".. autosummary::", "   :toctree: .", ""]
            lines += [f"   {name}" for name in listed] + [""]
    return "\n".join(lines)


def write_pages(app, config):
    """Write the modules' pages, and take away pages of names that are no more."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    from sphinx.util import logging  # the tests read this file without Sphinx

    missing = []
    modules = public_modules(missing)
    for told in missing:
        logging.getLogger(__name__).warning("the reference lacks a module: %s", told)
    expected = {f"{module}.rst" for module in modules}
    expected |= {f"{module}.{name}.rst" for module in modules for name in public_names(module)}
    for path in folder.glob("*.rst"):
        if path.name not in expected:
            path.unlink()
    for module in modules:
        path, text = folder / f"{module}.rst", module_page(module)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    places = [f"generated/{module}" for module in modules]
    listing = ["```{toctree}", ":maxdepth: 1", "", *places, "```", ""]
    (folder / "listing.txt").write_text("\n".join(listing), "utf-8")


def owner_module(cls, name):
    """Module of the class that defines a member."""
    return next((c.__module__ for c in cls.__mro__ if name in vars(c)), "")


def skip_members_of_others(app, what, name, thing, skip, options):
    """Leave out what scikit-learn or Python defines: their pages are elsewhere."""
    if isinstance(thing, property):
        thing = thing.fget
    thing = inspect.unwrap(getattr(thing, "__func__", thing)) if callable(thing) else thing
    module = getattr(thing, "__module__", None)
    return True if module and not module.startswith("nnjit") else None


def inherited(cls):
    """Public methods of a class that are scikit-learn's."""
    return [
        name
        for name in dir(cls)
        if not name.startswith("_")
        and owner_module(cls, name).startswith("sklearn.")
        and callable(getattr(cls, name))
    ]


def tell_inherited(app, what, name, thing, options, lines):
    """Say below a class which of its methods are scikit-learn's."""
    if what == "class" and (names := inherited(thing)):
        methods = ", ".join(f"``{method}``" for method in names)
        lines += ["", ".. rubric:: Methods that are scikit-learn's", "", methods, ""]


DECLARATION = re.compile(r"^(\s*[\w, *]+ : )(.*\(.*)$|^(\s*)(ndarray of .*\(.*)$")


def as_meant(app, what, name, thing, options, lines):
    """Keep `(n, *windows)` and `(n_features_in_,)` from being read as markup, before numpydoc.

    What is indented below a line that ends with a colon are formulas, to be shown as they stand.
    """
    for number, line in enumerate(lines):
        below = next((after for after in lines[number + 1 :] if after.strip()), "")
        deeper = len(below) - len(below.lstrip()) > len(line) - len(line.lstrip())
        apart = number + 1 < len(lines) and not lines[number + 1].strip()
        if line.rstrip().endswith(":") and not line.endswith("::") and deeper and apart:
            lines[number] = line + ":"
        if match := DECLARATION.match(line):
            before, kind = (part for part in match.groups() if part is not None)
            kind = kind.replace("*", r"\*")
            lines[number] = before + re.sub(r"_(?=[,)])", r"\\_", kind)


def setup(app):
    app.connect("config-inited", write_pages)
    app.connect("autodoc-skip-member", skip_members_of_others)
    app.connect("autodoc-process-docstring", as_meant, priority=100)
    app.connect("autodoc-process-docstring", tell_inherited, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
