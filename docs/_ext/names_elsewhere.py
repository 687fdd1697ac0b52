"""Names in text become links: ours to their pages, others' to their libraries' sites.

A build reads no inventory from the net, so that what is known of other sites stands here: the
few addresses that docstrings name. In docstrings a single backtick may hold any name, `X` or
`loss='quantile'`; it is a link if there is such a page, and else stays as it is. An explicit role
(`:class:`) to a page that there is not is a warning, by `nitpicky`. On the pages in Markdown a
code span that is exactly a public name becomes a link as well.
"""

from docutils import nodes
from reference_pages import public_modules, public_names
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import make_refnode

PYTHON = "https://docs.python.org/3/library/"
NUMPY = "https://numpy.org/doc/stable/"
SKLEARN = "https://scikit-learn.org/stable/"
MATPLOTLIB = "https://matplotlib.org/stable/api/"
ELSEWHERE = {
    "array-like": SKLEARN + "glossary.html#term-array-like",
    "array_like": NUMPY + "glossary.html#term-array_like",
    "numpy": NUMPY,
    "DataFrame": "https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.html",
    "ndarray": NUMPY + "reference/generated/numpy.ndarray.html",
    "RandomState": NUMPY + "reference/random/legacy.html#numpy.random.RandomState",
    "Axes": MATPLOTLIB + "_as_gen/matplotlib.axes.Axes.html",
    "Figure": MATPLOTLIB + "_as_gen/matplotlib.figure.Figure.html",
    "Line2D": MATPLOTLIB + "_as_gen/matplotlib.lines.Line2D.html",
    "AxesImage": MATPLOTLIB + "image_api.html#matplotlib.image.AxesImage",
    "path-like": "https://docs.python.org/3/glossary.html#term-path-like-object",
    "callable": "https://docs.python.org/3/glossary.html#term-callable",
    **{name: f"{PYTHON}functions.html#{name}" for name in ("bool", "float", "int")},
    **{name: f"{PYTHON}stdtypes.html#{name}" for name in ("dict", "list", "str", "tuple")},
}
NUMPYDOC = {
    "numpy:array_like": ELSEWHERE["array_like"],
    "python:bltin-boolean-values": PYTHON + "stdtypes.html#boolean-type-bool",
    "python:callable": ELSEWHERE["callable"],
    "python:None": PYTHON + "constants.html#None",
    "python:True": PYTHON + "constants.html#True",
    "python:False": PYTHON + "constants.html#False",
    "python:sequence": "https://docs.python.org/3/glossary.html#term-sequence",
    "python:iterable": "https://docs.python.org/3/glossary.html#term-iterable",
    **{f"python:{name}": ELSEWHERE[name] for name in ("bool", "float", "int")},
    **{f"python:{name}": ELSEWHERE[name] for name in ("dict", "list", "str", "tuple")},
}
SKLEARN_PAGES = {
    "Pipeline": "sklearn.pipeline.Pipeline",
    "ColumnTransformer": "sklearn.compose.ColumnTransformer",
    "TransformedTargetRegressor": "sklearn.compose.TransformedTargetRegressor",
    "StandardScaler": "sklearn.preprocessing.StandardScaler",
    "GridSearchCV": "sklearn.model_selection.GridSearchCV",
    "clone": "sklearn.base.clone",
    "KMeans": "sklearn.cluster.KMeans",
    "ConvergenceWarning": "sklearn.exceptions.ConvergenceWarning",
    "NotFittedError": "sklearn.exceptions.NotFittedError",
}


def short_names():
    """Full names of what is public by their last part; nnjit's own before those of its modules."""
    found = {}
    for module in public_modules():
        for name in public_names(module):
            found.setdefault(name, f"{module}.{name}")
    return found


def address_elsewhere(target):
    """The page of another library's name, if it is one that is known."""
    if target in ELSEWHERE:
        return ELSEWHERE[target]
    full = SKLEARN_PAGES.get(target, target)
    if full.startswith("sklearn.") and full.count(".") >= 2:
        return f"{SKLEARN}modules/generated/{full}.html"
    return None


def look_elsewhere(app, env, node, content):
    """What Sphinx does not find: one of ours by its short name, or another library's."""
    target = node["reftarget"]
    if target in NUMPYDOC:  # its own links for words in the types of parameters
        if content.astext().removesuffix("()") == target:  # without the name of an inventory
            content = nodes.inline("", target.partition(":")[2])
        return nodes.reference("", "", content, internal=False, refuri=NUMPYDOC[target])
    if node.get("refdomain") != "py":
        return None
    target = target.lstrip(".")
    name, _, method = target.partition(".")
    full = app.nnjit_names.get(name)
    if full is not None:
        full = f"{full}.{method}" if method else full
        entry = env.get_domain("py").objects.get(full)
        if entry is not None:
            return make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, content, full
            )
    if (address := address_elsewhere(target)) is not None:
        return nodes.reference("", "", content, internal=False, refuri=address)
    return content if node["reftype"] == "obj" else None


class LinkCode(SphinxTransform):
    """Makes a code span that is a public name, with its module or without, a link to its page."""

    default_priority = 300

    def apply(self, **kwargs):
        if not str(self.env.doc2path(self.env.docname)).endswith((".md", ".ipynb")):
            return
        names = self.app.nnjit_names
        known = {*names, *names.values(), *public_modules()} - {"nnjit"}
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext().removesuffix("()")
            if isinstance(literal.parent, nodes.reference) or text not in known:
                continue
            if any(isinstance(parent, nodes.title) for parent in ancestors(literal)):
                continue
            self.link(literal, names.get(text, text))

    def link(self, literal, target):
        from sphinx.addnodes import pending_xref

        link = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True,
            refdoc=self.env.docname, refwarn=False,
        )  # fmt: skip
        literal.replace_self(link)
        link += literal


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app):
    app.nnjit_names = short_names()
    app.connect("missing-reference", look_elsewhere)
    app.add_transform(LinkCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
