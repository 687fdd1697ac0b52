"""Sphinx's settings: after `pip install '.[docs]'`, `sphinx-build docs docs/_build`, offline."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import nnjit  # noqa: E402
from nnjit._site import SITE  # noqa: E402

project = "nnjit"
author = "The nnjit developers"
copyright = author
version = release = nnjit.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    # our own, in _ext/
    "reference_pages",
    "names_elsewhere",
    "course",
    "rooms",
    "benchmark_results",
]
exclude_patterns = ["_build", "_made", "gallery", "**.local", "auto_gallery/*.ipynb"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = True
# Sphinx-gallery's pages hold the time of their build, configurations functions of ours.
suppress_warnings = ["config.cache"]

# The reference

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say them in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = {"of", "or", "shape", "default", "optional", "such", "the", "same"}
add_module_names = False
toc_object_entries_show_parents = "hide"

# Pages and notebooks: notebooks are executed by .ci/run, not here

nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto"]

# The gallery

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_.*\.py",
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": (),  # what an example prints, not what its last line is
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "plot_gallery": True,
    "abort_on_example_error": False,
    "backreferences_dir": "reference/generated/backreferences",
    "doc_module": ("nnjit",),
    "inspect_global_variables": False,
    "notebook_images": False,
    "min_reported_time": 20,
    "within_subsection_order": "FileNameSortKey",
}

# How it looks; nothing of it is fetched from elsewhere

html_theme = "pydata_sphinx_theme"
html_title = "nnjit"
html_baseurl = SITE
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_favicon = "_static/nnjit.svg"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {
        "text": "nnjit",
        "image_light": "_static/nnjit.svg",
        "image_dark": "_static/nnjit.svg",
    },
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navigation_depth": 3,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
WITHOUT_SECTIONS = (
    "index", "start", "questions", "how_it_is_fast", "promises", "versions", "lecture",
    "benchmarks", "design/index", "changelog", "search", "genindex", "py-modindex",
)  # fmt: skip
html_sidebars = dict.fromkeys(WITHOUT_SECTIONS, [])
copybutton_exclude = ".linenos, .gp, .go"
