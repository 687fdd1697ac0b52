"""Rows of Parquet files."""

import pickle
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from pyarrow import parquet  # noqa: E402

import nnjit.rows._source as source  # noqa: E402
from nnjit import MLPClassifier, MLPRegressor  # noqa: E402
from nnjit.rows import MappedRows, ParquetRows, blocks  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 1000
RNG = np.random.RandomState(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
VALUES = X[:, 0] - X[:, 2]
LABELS = np.where(VALUES > 0, "up", "down")
COLUMNS = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}


def write(path, start=0, stop=N, rows=128, **columns):
    table = pa.table({name: one[start:stop] for name, one in {**COLUMNS, **columns}.items()})
    parquet.write_table(table, path, row_group_size=rows)
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "table.parquet", value=VALUES, label=LABELS)


def model(**parameters):
    given = {"shuffle": "blocks", "max_iter": 3, "random_state": 0, "hidden_layer_sizes": 8}
    return MLPClassifier(**{**given, **parameters})


def test_features_and_target_come_out_of_one_file(file):
    rows = ParquetRows(file, ["a", "b", "c"], "label")
    assert rows.shape == (N, 3) and rows.dtype == np.float32 and rows.ndim == 2
    assert np.array_equal(rows[:], X) and np.array_equal(rows[100:300], X[100:300])
    assert rows.y.tolist() == LABELS.tolist()
    both = ParquetRows(file, ["a"], ["value", "b"])
    assert np.array_equal(both.y, np.column_stack([VALUES, X[:, 1]]))
    assert np.array_equal(rows.column("value"), VALUES)


def test_a_fit_reads_row_groups_and_is_that_of_the_array(file):
    rows = ParquetRows(file, ["a", "b", "c"], "label")
    found, expected = model().fit(rows, rows.y), model().fit(X, LABELS)
    assert all(map(np.array_equal, found.coefs_, expected.coefs_))  # all fits in one buffer
    assert np.array_equal(found.predict_proba(rows), expected.predict_proba(X))
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]


def test_blocks_are_row_groups_or_several_small_ones(file, monkeypatch):
    rows = ParquetRows(file, ["a", "b", "c"])
    assert rows.block_starts(100).tolist() == list(range(0, N, 128))
    assert rows.block_starts(300).tolist() == [0, 256, 512, 768]
    monkeypatch.setattr(source, "BLOCK_BYTES", 100 * 12)
    assert [len(block) for block in blocks(rows)] == [128] * 7 + [N - 7 * 128]


def test_a_folder_is_the_files_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "part-2.parquet", 300, N, value=VALUES)
    write(tmp_path / "part-1.parquet", 0, 300, value=VALUES)
    (tmp_path / "notes.txt").write_text("no table")
    for path in (tmp_path, str(tmp_path), sorted(tmp_path.glob("*.parquet"))):
        rows = ParquetRows(path, target="value")
        assert np.array_equal(rows[:], X) and np.array_equal(rows.y, VALUES)
        assert np.array_equal(rows[250:350], X[250:350])
    regressor = MLPRegressor(shuffle="blocks", max_iter=2, random_state=0)
    assert np.isfinite(regressor.fit(rows, rows.y).score(rows, rows.y))


def test_names_of_features_are_those_of_the_fit(file):
    rows = ParquetRows(file, ["a", "b", "c"], "label")
    fitted = model().fit(rows, rows.y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(ParquetRows(file, ["a", "c", "b"]))
    pandas = pytest.importorskip("pandas")
    assert np.array_equal(fitted.predict(pandas.DataFrame(COLUMNS)), fitted.predict(rows))


def test_types_other_than_float32_are_computed_in_float64_unless_asked(tmp_path):
    path = write(tmp_path / "mixed.parquet", count=np.arange(N), flag=X[:, 0] > 0)
    assert ParquetRows(path).dtype == np.float64
    assert ParquetRows(path, dtype=np.float32)[:2].dtype == np.float32
    assert np.array_equal(ParquetRows(path, ["flag"])[:3], (X[:3, :1] > 0) * 1.0)


def test_a_missing_value_is_named_by_its_row(tmp_path):
    values = pa.array([None if k == 777 else 1.0 for k in range(N)])
    rows = ParquetRows(write(tmp_path / "gaps.parquet", d=values), dtype=np.float32)
    with pytest.raises(ValueError, match="NaN: row 777"):
        model().fit(rows, LABELS)
    filled = MappedRows(rows, np.nan_to_num)
    assert model().fit(filled, LABELS).n_features_in_ == 4


def test_row_groups_without_rows_make_no_block_of_their_own(tmp_path):
    path = tmp_path / "gaps.parquet"
    with parquet.ParquetWriter(path, pa.table(COLUMNS).schema) as writer:
        for start, stop in [(0, 0), (0, 400), (400, 400), (400, N), (N, N)]:
            writer.write_table(pa.table({name: one[start:stop] for name, one in COLUMNS.items()}))
    rows = ParquetRows(path)
    assert rows.block_starts(100).tolist() == [0, 400]
    assert np.array_equal(np.concatenate(list(blocks(rows, 100))), X)


def test_no_file_is_held_open(file):
    rows = ParquetRows(file, ["a", "b", "c"], "label")
    assert len(rows.y) == N and np.array_equal(pickle.loads(pickle.dumps(rows))[:200], X[:200])
    there = Path("/proc/self/fd")
    if there.is_dir():
        held = [one.readlink() for one in there.iterdir() if one.exists()]
        assert file.resolve() not in held


def test_what_is_no_table_of_numbers_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="'label' is of type string, which is no number"):
        ParquetRows(file)
    with pytest.raises(ValueError, match=r"no columns \['z'\]"):
        ParquetRows(file, ["a", "z"])
    with pytest.raises(ValueError, match=r"\['value'\] are features and target"):
        ParquetRows(file, ["a", "value"], "value")
    assert ParquetRows(file, "value").feature_names == ["value"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="no file"):
        ParquetRows(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no file"):
        ParquetRows([])
    two = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    parquet.write_table(two, tmp_path / "two.parquet")
    with pytest.raises(ValueError, match=r"several columns of the names \['a'\]"):
        ParquetRows(tmp_path / "two.parquet")
    with pytest.raises(ValueError, match="no target"):
        _ = ParquetRows(file, ["a"]).y
    with pytest.raises(ValueError, match="float32 or float64"):
        ParquetRows(file, ["a"], dtype=np.int32)
    with pytest.raises(ValueError, match="shuffle='blocks'"):
        model(shuffle=True).fit(ParquetRows(file, ["a"]), LABELS)


def test_a_missing_library_is_named_with_its_extra(file, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"nnjit\[rows\]"):
        ParquetRows(file)
