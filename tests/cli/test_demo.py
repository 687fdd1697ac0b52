"""`python -m nnjit demo`, run as a process, and its parts."""

import argparse
import re
import sys

import numpy as np
import pytest

from nnjit.cli import main
from nnjit.cli.demo import _layer_sizes, _seed
from nnjit.cli.models import boosted_trees
from nnjit.cli.problem import table_problem
from nnjit.cli.report import save_loss_curves


def row(output, name):
    """The numbers of a line of the comparison: first fit, later fit, epochs, score."""
    line = re.search(rf"^{name}\s+([\d.]+) s\s+([\d.]+) s\s+(\d+)\s+(-?[\d.]+)$", output, re.M)
    assert line, output
    return [float(number) for number in line.groups()]


def scores(output, name):
    """The numbers of a line of several models' scores: first fit, later fit, and two scores."""
    number = r"(-?[\d.]+)[* ]?"
    line = re.search(rf"^{name}\s+([\d.]+) s\s+([\d.]+) s\s+{number}\s+{number}$", output, re.M)
    assert line, output
    return [float(number) for number in line.groups()]


def test_digits(command, tmp_path):
    done = command("demo", "--epochs", 30, "--plot", "curve.png")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "epoch   30/30" in done.stdout
    assert re.search(r"precision\s+recall\s+f1-score\s+support", done.stdout)
    ours, peer = row(done.stdout, "nnjit"), row(done.stdout, "scikit-learn")
    assert ours[3] > 0.95
    assert ours[2:] == peer[2:]
    gap = re.search(r"difference of the two loss curves: (\S+)\.", done.stdout)
    assert float(gap[1]) < 1e-6
    image = (tmp_path / "curve.png").read_bytes()
    assert image.startswith(b"\x89PNG")


def test_own_table_is_classified(command, flowers):
    done = command("demo", "--data", flowers, "--target", "kind", "--epochs", 80, "--no-peer")
    assert done.returncode == 0, done.stderr
    assert "60 training and 20 test rows, 2 columns, 2 classes of 'kind'" in done.stdout
    assert "Column 'length': 9 missing cells get the training rows' median." in done.stdout
    assert "Column 'colour': 8 missing cells are a category of their own." in done.stdout
    assert "Column 'empty' is empty and was left out." in done.stdout
    assert "Column 'name' has another text in every row" in done.stdout
    for model in ("TabularClassifier", "MLP"):
        assert scores(done.stdout, model)[2] > 0.7
    columns = done.stdout.split("Columns:")[1].split("on the test rows")[0]
    for name in ("name", "length", "colour", "empty"):
        assert name in columns
    assert "HistGradientBoosting" not in done.stdout


def test_own_table_is_regressed(write, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-2, 2, 200)
    path = write("x,price\n" + "".join(f"{a},{1000 * a + 50000.5}\n" for a in x))
    table = ["--data", str(path), "--target", "price"]
    status = main(["demo", *table, "--hidden", "20", "--preset", "fast", "--plot", "curves.png"])
    output = capsys.readouterr().out
    assert status == 0
    assert "regression of 'price'" in output
    found = [scores(output, name) for name in ("TabularRegressor", "MLP", "HistGradientBoosting")]
    assert all(r2 > 0.9 for _, _, r2, _ in found)
    assert output.count("*") == 2  # the best R2 and the least error
    share = re.search(r"intervals of 90 %\s+([\d.]+) % in [\d.]+", output)
    assert 60 < float(share[1]) <= 100
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_trees_take_more_categories_than_they_have_numbers_for(write):
    """And a category that is in the test rows alone, and missing ones."""
    rng = np.random.default_rng(0)
    words = [f"w{i % 300}" if i % 7 else "" for i in range(900)] + [f"v{i}" for i in range(20)]
    rows = "".join(f"{word},{rng.normal():.3f},{'ab'[len(word) % 2]}\n" for word in words * 2)
    problem = table_problem(str(write("word,x,y\n" + rows)), "y", "auto", 0)
    trees = boosted_trees(problem, problem.raw, 0).set_params(
        histgradientboostingclassifier__max_iter=5
    )
    assert trees.fit(*problem.train).score(*problem.test) > 0.5
    assert trees[-1].is_categorical_.tolist() == [True, False]


class WithoutPandas:
    """Finds no pandas."""

    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError(name)


@pytest.mark.parametrize("with_pandas", [True, False])
def test_a_table_is_there_as_it_was_read(write, monkeypatch, with_pandas):
    if with_pandas:
        pytest.importorskip("pandas")
    else:
        monkeypatch.delitem(sys.modules, "pandas", raising=False)
        monkeypatch.setattr(sys, "meta_path", [WithoutPandas(), *sys.meta_path])
    rows = [
        f"{i};2024-02-{1 + i % 28:02};{'' if i % 3 else 'red'};1,{i};{i % 2}" for i in range(40)
    ]
    path = write("\n".join(["id;day;colour;x;y", *rows]) + "\n")
    problem = table_problem(str(path), "y", "auto", 0)
    raw, (X, y) = problem.raw, problem.train
    assert raw.names == ["day", "colour", "x"]
    cells = np.asarray(raw.train, dtype=object)
    assert len(raw.train) == len(y) == 30 and len(raw.test) == 10
    np.testing.assert_array_equal(cells[:, 2].astype(float), X[:, 2].astype(float))
    days = cells[:, 0].astype("datetime64[s]") - np.datetime64("1970-01-01")
    np.testing.assert_array_equal(days / np.timedelta64(1, "D"), X[:, 0].astype(float))
    missing = [word is None or word != word for word in cells[:, 1]]
    np.testing.assert_array_equal(missing, X[:, 1] == "?")


MISTAKES = {
    "missing file": (["--data", "nowhere.csv", "--target", "y"], "cannot read nowhere.csv"),
    "folder": (["--data", ".", "--target", "y"], "cannot read ."),
    "empty": (["--data", "empty.csv", "--target", "y"], "empty.csv is empty"),
    "header only": (["--data", "header.csv", "--target", "y"], "header.csv is empty"),
    "missing column": (["--data", "good.csv", "--target", "z"], "no column 'z' in good.csv"),
    "no target": (["--data", "good.csv"], "--data and --target go together"),
    "no data": (["--target", "y"], "--data and --target go together"),
    "few rows": (["--data", "few.csv", "--target", "y"], "few.csv has 3 rows"),
    "one class": (["--data", "good.csv", "--target", "same"], "has only one value, '7'"),
    "ragged": (["--data", "ragged.csv", "--target", "y"], "ragged.csv, line 3: 1 cells"),
    "not text": (["--data", "binary.csv", "--target", "y"], "binary.csv: it is not a text file"),
    "same names": (["--data", "twice.csv", "--target", "x"], "2 columns named 'x'"),
    "infinite": (["--data", "infinite.csv", "--target", "y"], "column 'x' has an infinite value"),
    "too large": (["--data", "large.csv", "--target", "y"], "column 'x' has a value of -1e+300"),
    "target too large": (["--data", "large.csv", "--target", "x"], "the target 'x' has a value of"),
    "open quote": (["--data", "open.csv", "--target", "y"], "open.csv, line 3: a quotation mark"),
    "target alone": (["--data", "alone.csv", "--target", "y"], "no usable column beside"),
    "all differ": (["--data", "good.csv", "--target", "word"], "too many to be classes"),
    "text regressed": (
        ["--data", "good.csv", "--target", "y", "--task", "regression"],
        "'y' is not numeric",
    ),
    "numbers classified": (
        ["--data", "good.csv", "--target", "x", "--task", "classification"],
        "--task regression learns numbers",
    ),
    "no folder": (["--plot", "no/where.png"], "cannot write no/where.png"),
    "digits regressed": (["--task", "regression"], "needs --data and --target"),
}


@pytest.fixture
def mistakes(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("", "empty.csv")
    write("x,y\n", "header.csv")
    rows = [f"{i}.5,{'ab'[i % 2]},7,w{i}\n" for i in range(40)]
    write("x,y,same,word\n" + "".join(rows), "good.csv")
    write("x,y\n1,a\n2,b\n3,a\n", "few.csv")
    write("x,y\n1,a\n2\n", "ragged.csv")
    write("x,y\n\0,a\n", "binary.csv")
    write("x,y\n" + "-1e300,a\n1,b\n" * 10, "large.csv")
    write('x,y\n1,a\n2,"b\n' + "1,a\n" * 10, "open.csv")
    write("x,x,y\n1,2,a\n", "twice.csv")
    write("x,y\n" + "inf,a\n1,b\n" * 10, "infinite.csv")
    write("y\n" + "a\nb\n" * 10, "alone.csv")


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_gets_one_line_and_status_2(mistakes, capsys, arguments, message):
    assert main(["demo", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("nnjit: error: ")
    assert message in captured.err


def test_too_little_memory_gets_one_line_and_status_2(capsys, monkeypatch):
    def fit(*arguments):
        raise MemoryError("Unable to allocate 65.5 TiB")

    monkeypatch.setattr("nnjit.cli.demo._mlp_fit", fit)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "nnjit: error: out of memory: Unable to allocate 65.5 TiB\n"


def test_a_mistake_as_a_process(command):
    done = command("demo", "--data", "nowhere.csv", "--target", "y")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "nnjit: error: cannot read nowhere.csv: No such file or directory\n"


@pytest.mark.parametrize("levels", [("0.5", "1.5"), ("1e19", "2e19")])
def test_numbers_that_are_no_integers_can_be_classes(write, capsys, tmp_path, monkeypatch, levels):
    monkeypatch.chdir(tmp_path)
    path = write("x,y\n" + "".join(f"{i % 2 + i / 99},{levels[i % 2]}\n" for i in range(60)))
    options = ["--task", "classification", "--no-peer", "--epochs", "5", "--preset", "fast"]
    assert main(["demo", "--data", str(path), "--target", "y", *options]) == 0
    assert "2 classes of 'y'" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["-1", str(2**32)])
def test_seeds_are_those_of_numpy(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 0"):
        _seed(text)


@pytest.mark.parametrize("text", ["", "0", "10,", "a", "10,-3"])
def test_hidden_layers_must_be_positive_whole_numbers(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number"):
        _layer_sizes(text)


def test_hidden_layers():
    assert _layer_sizes("64,32") == (64, 32)


def test_without_matplotlib_there_is_no_curve(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    save_loss_curves({}, tmp_path / "curve.png", required=False)
    assert "matplotlib is missing" in capsys.readouterr().out
    assert not (tmp_path / "curve.png").exists()
