"""What is published: the sdist holds the repository, and the package's page has no dead link."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tracked():
    """Files that git keeps, and new ones that it would; None if this is no checkout."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others",
               "--exclude-standard"]  # fmt: skip
    try:
        top = subprocess.run([*command[:3], "rev-parse", "--show-toplevel"], capture_output=True)
        if top.returncode or Path(top.stdout.decode().strip()).resolve() != ROOT.resolve():
            return None
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    except FileNotFoundError:
        return None
    return sorted(name for name in names.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of this checkout, opened."""
    names = tracked()
    if names is None:
        pytest.skip("no checkout of git, which says what an sdist has to hold")
    pytest.importorskip("setuptools", minversion="77", reason="no setuptools to build with")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    build = "import sys, setuptools.build_meta as b; print(b.build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(target)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [path] = target.iterdir()
    with tarfile.open(path) as archive:
        yield archive


def test_the_sdist_holds_every_file_of_the_repository(sdist):
    held = {name.partition("/")[2] for name in sdist.getnames()}
    assert set(tracked()) <= held


def page(sdist):
    [name] = [n for n in sdist.getnames() if re.fullmatch(r"[^/]+/PKG-INFO", n)]
    return email.message_from_bytes(sdist.extractfile(name).read())


def test_the_page_is_the_readme_without_dead_links(sdist):
    text = page(sdist).get_payload(decode=True).decode("utf-8")
    assert page(sdist)["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert all(link.startswith(("https://", "http://", "#")) for link in links), links
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# nnjit\n")
    assert len(text) > 0.95 * len(re.sub(r"\]\([^)]*\)", "]", readme))  # but for addresses
    assert text.rstrip().endswith(readme.rstrip()[-50:])


def test_addresses_of_the_project_are_absolute(sdist):
    for entry in page(sdist).get_all("Project-URL", []):
        assert re.fullmatch(r"[^,]+, https://\S+", entry)
