"""Reading a user's CSV file, by pandas and by the standard library."""

import random
import sys

import numpy as np
import pytest

from nnjit.cli import cells
from nnjit.cli.errors import UserError
from nnjit.cli.table import is_class_target, read_table


@pytest.fixture(autouse=True, params=["pandas", "csv"])
def reader(request, monkeypatch):
    """Each test runs where pandas is installed and where it is not."""
    if request.param == "csv":
        monkeypatch.setitem(sys.modules, "pandas", None)
    else:
        pytest.importorskip("pandas")
    return request.param


def column(write, texts, separator=",", **options):
    """Values and notes of a file with one column of these cells, over and over, and a target."""
    cells = [texts[i % len(texts)] for i in range(12 * len(texts))]
    rows = "".join(f"{cell}{separator}{i % 2}\n" for i, cell in enumerate(cells))
    table = read_table(write(f"x{separator}y\n{rows}", **options), "y")
    return table.features[: len(texts), 0].tolist(), table.notes


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


def test_pandas_reads_where_it_is_installed(write, reader, monkeypatch):
    path = write("x,y\n" + "1.5,a\n2.5,b\n" * 10)
    monkeypatch.setattr(cells, "_by_csv", lambda *arguments: [["1"] * 20, ["a", "b"] * 10])
    expected = 1.5 if reader == "pandas" else 1.0
    assert read_table(path, "y").features[0, 0] == expected


NUMBERS = {
    "decimal commas": (["1,5", "-12,25", "3", ",5"], ";", [1.5, -12.25, 3, 0.5]),
    "three decimals after a comma": (["1,234", "0,5"], ";", [1.234, 0.5]),
    "decimal commas and points": (["1.234,5", "2.000", "7"], ";", [1234.5, 2000, 7]),
    "quoted decimal commas": (['"3,14"', '"1,234"'], ",", [3.14, 1.234]),
    "thousands": (['"1,234"', '"12,345,678"', "999"], ",", [1234, 12345678, 999]),
    "thousands and decimals": (['"1,234.5"', '"-2,000"', "0.5"], ",", [1234.5, -2000, 0.5]),
    "thousands between tabs": (["1,234", "12,345"], "\t", [1234, 12345]),
    "blanks": (["1 234", "1\u00a0234,5", "9"], ";", [1234, 1234.5, 9]),
    "apostrophes": (["1'234.5", "1\u2019000"], ",", [1234.5, 1000]),
    "a long minus": (["\u22125", "7"], ",", [-5, 7]),
    "brackets": (["(1.5)", "2"], ",", [-1.5, 2]),
    "dollars": (['"$1,234"', "$5", "-$3", "$ 2"], ",", [1234, 5, -3, 2]),
    "per cent": (["45%", "5 %"], ",", [45, 5]),
}


@pytest.mark.parametrize(("texts", "separator", "values"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_are_read_as_they_are_written(write, texts, separator, values):
    read, notes = column(write, texts, separator)
    assert read == values
    (note,) = notes
    assert note.startswith("Column 'x' was read as numbers: ")
    assert note.endswith(".")


def test_the_note_shows_a_number_as_written_and_as_read(write):
    _, notes = column(write, ["7", "1,234"], ";")
    assert notes == ["Column 'x' was read as numbers: '1,234' is 1.234."]


def test_points_are_between_thousands_where_another_column_has_decimal_commas(write):
    rows = "".join(f"{i},5;{i + 1}.234;0.{i};{i % 2}\n" for i in range(12))
    table = read_table(write("a;b;c;y\n" + rows), "y")
    assert table.features[3].tolist() == [3.5, 4234, 0.3]
    assert table.notes == ["Columns 'a', 'b' were read as numbers: '0,5' is 0.5."]


def test_one_note_for_many_columns(write):
    rows = ";".join(["1,5"] * 6 + ["a"]) + "\n" + ";".join(["2,5"] * 6 + ["b"]) + "\n"
    table = read_table(write("p;q;r;s;t;u;y\n" + rows * 6), "y")
    assert table.notes == [
        "Columns 'p', 'q', 'r', 's' and 2 more were read as numbers: '1,5' is 1.5."
    ]


@pytest.mark.parametrize("mark", ["-", "--", "\u2013", ".", "none", "#N/A", "#DIV/0!", "unknown"])
def test_marks_that_are_missing_among_numbers(write, mark):
    read, notes = column(write, ["1.5", mark, "2"])
    assert read[::2] == [1.5, 2]
    assert np.isnan(read[1])
    assert notes == ["Column 'x': 12 missing cells get the training rows' median."]


@pytest.mark.parametrize("mark", ["-", "none"])
def test_such_marks_are_classes_among_words(write, mark):
    table = read_table(write("x,y\n" + f"1,{mark}\n2,+\n" * 8), "y")
    assert table.target[:2].tolist() == [mark, "+"]
    assert table.notes == []


DATES = {
    "days": (["2020-01-01", "1969-12-31", "?"], [18262, -1, np.nan]),
    "months": (["1970-03", "1970-01"], [59, 0]),
    "times": (["1970-01-02 12:00", "1970-01-01T06:00:00"], [1.5, 0.25]),
    "zones": (["1970-01-01T02:00:00+02:00", "1970-01-02T00:00:00Z"], [0, 1]),
}


@pytest.mark.parametrize(("texts", "values"), DATES.values(), ids=DATES.keys())
def test_iso_dates_become_days(write, texts, values):
    read, notes = column(write, texts)
    np.testing.assert_array_equal(read, values)
    shown = f"{texts[0]!r} is {values[0]}"
    assert notes[0] == f"Column 'x' was read as days since 1970-01-01: {shown}."


@pytest.mark.parametrize(
    "texts", [["31.12.2020", "1.2.2021"], ["1/2/2020", "3/4/20 10:15"], ["5 Jan 2020"], ["23:15"]]
)
def test_other_dates_are_left_out_with_a_line_that_says_so(write, texts):
    rows = "".join(f"{i},{texts[i % len(texts)]},{i % 2}\n" for i in range(12))
    table = read_table(write("a,when,y\n" + rows), "y")
    assert table.features.shape == (12, 1)
    assert table.notes == [
        f"Column 'when' looks like dates or times, but {texts[0]!r} is not written like"
        " 2020-12-31; it was left out."
    ]


def test_no_such_day_is_text(write):
    read, notes = column(write, ["2020-02-30", "2020-02-28"])
    assert read == ["2020-02-30", "2020-02-28"]
    assert notes == []


def test_text_that_is_mostly_numbers_says_what_is_none(write):
    _, notes = column(write, ["1", "2", "3", "4+"])
    assert notes == ["Column 'x' is used as text: most are numbers, but '4+' is none."]
    rows = "".join(f"{i},{i}.5{'m' * (i == 5)},{i % 2}\n" for i in range(12))
    table = read_table(write("a,x,y\n" + rows), "y")
    assert table.notes == [
        "Column 'x' has another text in every row and looks like numbers, but '5.5m' is none;"
        " it was left out."
    ]


def test_numbers_written_in_two_ways_are_text_with_a_line_that_says_so(write):
    _, notes = column(write, ["1.5", '"1,5"', "2"])
    assert notes == ["Column 'x' is used as text: most are numbers, but '1,5' is none."]


@pytest.mark.parametrize(
    ("name", "start"), [("", 0), ("", 1), ("Unnamed: 0", 0), ("Id", 1), ("index", 0)]
)
def test_a_column_that_numbers_the_rows_is_left_out(write, name, start):
    rows = "".join(f"{i + start},{i % 5},{i % 2}\n" for i in range(12))
    table = read_table(write(f"{name},x,y\n{rows}"), "y")
    assert table.features.shape == (12, 1)
    shown = repr(name) if name else "1 (no name)"
    assert table.notes == [f"Column {shown} numbers the rows and was left out."]


def test_an_unnamed_column_of_measurements_is_kept(write):
    rows = "".join(f"{i % 5},{i},{i % 2}\n" for i in range(12))
    table = read_table(write(f",x,y\n{rows}"), "y")
    assert table.features.shape == (12, 2)
    assert table.notes == []


def test_row_names_without_a_name_in_the_header(write):
    rows = "".join(f'"{i + 1}",{i % 5},{i % 2}\n' for i in range(12))
    table = read_table(write(f'"x","y"\n{rows}'), "y")
    assert table.features[:, 0].tolist() == [i % 5 for i in range(12)]


def test_rows_that_end_with_a_separator(write):
    table = read_table(write("x;y\n" + "1;a;\n2;b;\n" * 6), "y")
    assert table.features[:2, 0].tolist() == [1, 2]
    assert table.notes == ["Column 3 (no name) is empty and was left out."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(write, encoding):
    path = write("Größe;Art\n" + "1,5;Lärche\n2,5;Föhre\n" * 6, encoding=encoding)
    table = read_table(path, "Art")
    assert table.target[:2].tolist() == ["Lärche", "Föhre"]
    note = "The file is not UTF-8; it was read as Windows-1252 (Western European)."
    assert table.notes[:-1] == ([note] if encoding == "cp1252" else [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(write, end):
    path = write("x,y" + end + f"1,a{end},b{end}" * 8)
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.features[:2, 0], [1, np.nan])


def test_the_header_may_hold_other_separators(write):
    path = write("size (w, h);y\n" + "1,5;1\n2,5;2\n" * 6)
    assert read_table(path, "y").features[:2, 0].tolist() == [1.5, 2.5]


def test_excels_line_that_names_the_separator(write):
    path = write("sep=|\nx, y|z\n" + "1|a\n2|b\n" * 6)
    assert read_table(path, "z").features[:2, 0].tolist() == [1, 2]
    with pytest.raises(UserError, match=r"line 4: 3 cells where the header has 2$"):
        read_table(write("sep=|\nx|z\n1|a\n2|b|c\n"), "z")


def test_features_of_the_same_name_are_all_used(write):
    table = read_table(write("x,x,y\n" + "1,2,a\n3,4,b\n" * 6), "y")
    assert table.features[0].tolist() == [1, 2]
    assert table.notes == ["2 columns are named 'x'; all are used."]


def test_spellings_of_true_and_false_are_one(write):
    read, _ = column(write, ["true", "TRUE", "False", "?"])
    assert read == ["True", "True", "False", "?"]


@pytest.mark.parametrize("last", ["3", "", "3,4,5"])
def test_ragged_rows_are_named_by_their_line(write, last):
    cells = last.count(",") + 1 + 1
    path = write('x,"y\nz",t\n' + "1,2,\n" * 12 + f"1,{last}\n" * 2)
    with pytest.raises(UserError, match=f"line 15: {cells} cells where the header has 3$"):
        read_table(path, "t")


def test_a_quotation_mark_that_stays_open_is_named_by_its_line(write):
    path = write("x,y\n" + "1,a\n" * 12 + '2,"b\n' + "1,a\n" * 50_000)
    with pytest.raises(UserError, match="line 14: a quotation mark opens and never closes$"):
        read_table(path, "y")


def test_a_missing_header_is_guessed(write):
    with pytest.raises(UserError, match="'setosa'; its first line should name the columns$"):
        read_table(write("5.1,3.5,1.4,setosa\n" * 12), "species")


def test_full_precision(write):
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)[::-1]
    values = values[np.abs(values) < 1e150]
    path = write("x,y\n" + "".join(f"{v!r},{i % 2}\n" for i, v in enumerate(values.tolist())))
    np.testing.assert_array_equal(read_table(path, "y").features[:, 0], values)


CELLS = [
    ["1", "2", "07", "-0", "+5", "5 ", "18446744073709551616"],
    ["1.5", "2e3", "-.5", "1.", "1e-320", "0.1234567890123456789"],
    ["1,5", "2,25", "0,1", "1.234,5", "2.000", "1,234", "12,345"],
    ["true", "True", "FALSE", "x"],
    ["a", "é", '"a,b"', '"a;b"', '"x""y"', '"two\nlines"', 'a"b', '"ab"c'],
    ["2020-01-01", "2021-12-31T12:00:00Z", "31.12.2020"],
    ["-", ".", "none", "", "?", "NA", "nan", "Na", "NULL", "<NA>", " "],
    ["inf", "1e400", "1_000", "0x10", "1e", "\u0661", "-nan", "$5", "45%", "\t1", '"open'],
]


def random_file(rng):
    separator, n_rows = rng.choice([",", ";", "\t"]), rng.randint(9, 15)
    columns = []
    for _ in range(rng.randint(1, 4)):
        pool = [*rng.choice(CELLS), *rng.choice([[], CELLS[6], rng.choice(CELLS)])]
        columns.append([rng.choice(pool) for _ in range(n_rows)])
    columns.append([rng.choice("123a") for _ in range(n_rows)])
    if separator == ",":
        columns = [[f'"{c}"' if "," in c and '"' not in c else c for c in col] for col in columns]
    header = [*(f"c{i}" for i in range(len(columns) - 1)), "y"]
    lines = [separator.join(row) for row in [header, *zip(*columns)]]
    if rng.random() < 0.1:
        i = rng.randrange(len(lines))
        lines[i] = rng.choice([lines[i] + separator, lines[i].rsplit(separator, 1)[0], '""', " "])
    return rng.choice(["\n", "\r\n"]).join(lines) + rng.choice(["", "\n"])


def outcome(path):
    try:
        table = read_table(path, "y")
    except UserError as error:
        return str(error)
    features = str(table.features.tolist()).replace("-0.0", "0.0")
    return features, table.numeric, table.target.tolist(), table.notes


def test_both_read_the_same(write, reader, monkeypatch):
    if reader == "csv":
        pytest.skip("both are run beside pandas")
    kinds = set()
    for seed in range(300):
        path = write(random_file(random.Random(seed)))
        by_pandas = outcome(path)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pandas", None)
            assert outcome(path) == by_pandas, f"seed {seed}"
        kinds.add(type(by_pandas))
    assert kinds == {str, tuple}
