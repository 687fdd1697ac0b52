"""The lecture's notebooks as pages of the course, in their order.

They lie in notebooks/ without outputs. Where there are executed copies, in docs/_made/executed/ or
in the folder that the environment variable NNJIT_EXECUTED names (.ci/run's stage "notebooks" leaves
them there), the pages show those and their pictures, and else what is in git. The copies in
docs/course/ are not kept in git.
"""

import os
import shutil
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)


def gather(app, config):
    """Copy the notebooks to the pages' folder; leave those alone that are there already."""
    source = Path(app.srcdir).parent / "notebooks"
    target = Path(app.srcdir) / "course"
    executed = Path(os.environ.get("NNJIT_EXECUTED") or Path(app.srcdir, "_made", "executed"))
    notebooks = sorted(source.glob("*.ipynb"))
    for old in target.glob("*.ipynb"):
        if old.name not in {path.name for path in notebooks}:
            old.unlink()
    shown = 0
    for path in notebooks:
        done = executed / path.name
        if done.exists():
            path, shown = done, shown + 1
        copy = target / path.name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)
    logger.info("course: %d notebooks, %d of them with outputs", len(notebooks), shown)


def setup(app):
    app.connect("config-inited", gather)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
