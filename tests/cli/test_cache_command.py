"""`python -m nnjit cache`: where compiled kernels are, how many, and away with them."""

import pytest


def folder_of(output):
    """Path in the line that names the first folder."""
    return next(line.split(None, 1)[1] for line in output.splitlines() if line[:6] == "folder")


@pytest.fixture
def environment(tmp_path):
    return {"NUMBA_CACHE_DIR": str(tmp_path / "chosen"), "XDG_CACHE_HOME": str(tmp_path / "own")}


@pytest.fixture
def kernels(tmp_path):
    folder = tmp_path / "chosen" / "nnjit"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "a-0.nnjit").write_bytes(3_000_000 * b"x")
    (folder / "b-0.nnjit").write_bytes(500_000 * b"x")
    (folder / "mine.txt").write_text("not a kernel")
    return folder


def test_it_shows_the_folder_and_what_is_in_it(command, environment, kernels):
    done = command("cache", **environment)
    assert done.returncode == 0, done.stderr
    assert folder_of(done.stdout) == str(kernels)
    assert "2, 3.5 MB, last used 20" in done.stdout


def test_it_says_why_a_folder_is_not_used(command, environment, kernels, tmp_path):
    kernels.chmod(0o777)
    shown = command("cache", **environment).stdout
    assert "not used: others may write to it" in shown
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "folder")
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        environment[name] = nowhere
    assert "compiled anew in each process" in command("cache", **environment).stdout


def test_a_look_makes_no_folder(command, environment, tmp_path):
    assert "0, 0.0 MB" in command("cache", **environment).stdout
    assert "nnjit" in command("info", **environment).stdout
    assert list(tmp_path.iterdir()) == []


def test_it_removes_kernels_and_nothing_else(command, environment, kernels):
    done = command("cache", "--clear", **environment)
    assert f"2 kernels, 3.5 MB, removed from {kernels}" in done.stdout
    assert [path.name for path in kernels.iterdir()] == ["mine.txt"]
    (kernels / "mine.txt").unlink()
    command("cache", "--clear", **environment)
    assert not kernels.exists()
    assert command("cache", "--clear", **environment).returncode == 0


@pytest.mark.slow
def test_it_measures_a_first_fit_without_and_with_kernels(command, environment, kernels):
    done = command("cache", "--measure", **environment)
    assert done.returncode == 0, done.stderr
    for dtype in ("float32", "float64"):
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(dtype)]
        compiled, loaded = map(float, line.split()[1:])
        assert 0 < loaded < compiled
    assert len(list(kernels.iterdir())) == 3  # measured elsewhere
