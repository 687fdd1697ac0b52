"""Reading a user's CSV file."""

import numpy as np
import pytest

from nnjit.cli.errors import UserError
from nnjit.cli.table import is_class_target, read_table


def test_numbers_and_text_are_told_apart(write):
    rows = "".join(f"{i},{'ab'[i % 2]},{i / 2}\n" for i in range(12))
    table = read_table(write("n,letter,y\n" + rows), "y")
    assert table.numeric == [0]
    assert table.text == [1]
    np.testing.assert_array_equal(table.features[:, 0].astype(float), np.arange(12))
    assert list(table.features[:2, 1]) == ["a", "b"]
    np.testing.assert_array_equal(table.target, np.arange(12) / 2)
    assert table.notes == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_separator(write, delimiter):
    lines = [delimiter.join(("a", "b", "y"))] + [
        delimiter.join((str(i), "1", str(i))) for i in range(12)
    ]
    table = read_table(write("\n".join(lines)), "y")
    assert table.features.shape == (12, 2)


def test_quotes_blanks_byte_order_mark_and_empty_lines(write):
    rows = "".join(f'"{i}, {i}", {i % 3} ,1.5e{i % 2}\r\n\r\n' for i in [1, 2] * 6)
    table = read_table(write("\ufeffa,b,y\r\n" + rows), "y")
    assert table.features[0, 0] == "1, 1"
    assert table.numeric == [1]
    assert set(table.target) == {1.5, 15.0}


@pytest.mark.parametrize("cell", ["", "?", "NA", "n/a", "NaN", "null", "None"])
def test_missing_cells(write, cell):
    rows = "".join(f"{cell if i == 3 else i},{cell if i in (4, 5) else i % 2}\n" for i in range(14))
    table = read_table(write("x,y\n" + rows), "y")
    assert len(table.target) == 12
    assert np.flatnonzero(np.isnan(table.features[:, 0].astype(float))).tolist() == [3]
    assert table.notes == [
        "2 rows without a target were left out.",
        "Column 'x': 1 missing cells get the training rows' median.",
    ]


def test_a_long_list_of_columns_is_cut(write):
    path = write(",".join(f"c{i}" for i in range(30)) + "\n" + ",".join("1" * 30))
    with pytest.raises(UserError, match="'c11' and 18 more$"):
        read_table(path, "y")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (["a", "b"], True),
        ([0.0, 1.0, 2.0], True),
        (np.arange(20.0), True),
        (np.arange(21.0), False),
        ([0.0, 0.5], False),
    ],
)
def test_what_counts_as_classes(target, expected):
    assert is_class_target(np.array(target)) is expected
