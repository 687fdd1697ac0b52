"""Categories found by their words or numbers, as nodes of a graph."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit.estimators._notations import MISSING
from nnjit.estimators._table.categories import Category, word_of
from nnjit.interop.onnx.graph import Graph, Value

__all__ = ["looked_up", "rows_of"]

_ML = "ai.onnx.ml"
_UNKNOWN = -1
_END = "\x01"  # behind the last word of a text


def rows_of(graph: Graph, column: Category, values: Value) -> Value:
    """Return the row of a category's table of each value, int64 (n, 1).

    Parameters
    ----------
    graph : Graph
    column : Category
    values : Value
        Strings, "" where missing; truth; or numbers, NaN where missing; (n, 1).
    """
    unseen, missing = len(column.levels), len(column.levels) + 1
    places = column.places()
    if values.dtype.kind == "O":
        return _of_texts(graph, values, places, unseen, missing)
    if values.dtype.kind != "b":
        return _of_numbers(graph, values, places, unseen, missing)
    yes, no = (graph.constant(places.get(word, unseen)) for word in ("True", "False"))
    return graph.where(values, yes, no)


def _of_texts(
    graph: Graph, values: Value, places: dict[str, int], unseen: int, missing: int
) -> Value:
    """Return the row of a category's table of each text."""
    keys = dict.fromkeys(_cases_of(MISSING), missing) | places
    found = looked_up(graph, values, keys, _UNKNOWN)
    # Most texts are found as they are; only where one is not, blanks around it are looked for.
    some = graph.add("ReduceMin", found, dtype=np.int64, keepdims=0) < 0
    branches = {}
    for name in ("then_branch", "else_branch"):
        body = graph.body()
        rows = found
        if name == "then_branch":
            rows = _between_blanks(body, values, keys, unseen)
        body.output(graph.name("rows"), rows, ["n", 1])
        branches[name] = body.proto(name)
    return graph.add("If", some, dtype=np.int64, **branches)


def _between_blanks(graph: Graph, values: Value, keys: dict[str, int], unseen: int) -> Value:
    """Return the row of each text, whatever blanks are around it and between its words.

    ONNX takes no blanks off a text, but splits it at them: words are put together again by one
    each. Marks behind the last word make up for those that are fewer.
    """
    texts: dict[tuple[str, ...], int] = {}
    for key, row in keys.items():
        texts.setdefault(tuple(word for word in key.split(" ") if word), row)
    length = 1 + max(map(len, texts))  # one more tells texts that go on
    longer = graph.add("StringConcat", values, graph.constant([f" {_END}" * length]))
    split, _ = graph.add_many("StringSplit", longer, dtypes=[object, np.int64])
    joined = None
    for place in range(length):
        word = graph.reshape(graph.columns(split, place, place + 1, axis=2), -1, 1)
        if joined is None:
            joined = word
        else:
            joined = graph.add("StringConcat", joined, graph.constant([" "]))
            joined = graph.add("StringConcat", joined, word)
    assert joined is not None
    padded = {" ".join([*text, *[_END] * (length - len(text))]): texts[text] for text in texts}
    return looked_up(graph, joined, padded, unseen)


def _of_numbers(
    graph: Graph, values: Value, places: dict[str, int], unseen: int, missing: int
) -> Value:
    """Return the row of a category's table of each number; 1 and 1.0 are the same."""
    whole = {}
    for word, row in places.items():
        with contextlib.suppress(ValueError):
            if word == str(int(word)) and abs(int(word)) < 2**63:
                whole[int(word)] = row
    if values.dtype.kind != "f":
        return looked_up(graph, graph.cast(values, np.int64), whole, unseen)
    values = graph.cast(values, np.float64)
    is_missing = graph.add("IsNaN", values, dtype=bool)
    floor = graph.add("Floor", values)
    beyond = (abs(values) >= 2.0**63) | ~(floor == values)
    known = graph.where(beyond | is_missing, 0.0, values)
    rows = looked_up(graph, graph.cast(known, np.int64), whole, unseen)
    rows = graph.where(beyond, np.array(unseen), rows)
    for word, row in places.items():
        with contextlib.suppress(ValueError):
            if word_of(float(word)) == word and not float(word).is_integer():
                rows = graph.where(values == float(word), np.array(row), rows)
    return graph.where(is_missing, np.array(missing), rows)


def looked_up(graph: Graph, values: Value, keys: dict[Any, int], default: int) -> Value:
    """Return what a dictionary has for each text or whole number."""
    if not keys:
        return graph.add("Mul", graph.cast(values, np.int64), 0) + default
    kind = "keys_strings" if values.dtype.kind == "O" else "keys_int64s"
    graph.use_domain(_ML, 3)
    attributes: dict[str, Any] = {
        kind: [*keys], "values_int64s": [*keys.values()], "default_int64": default
    }  # fmt: skip
    return graph.add("LabelEncoder", values, dtype=np.int64, domain=_ML, **attributes)


def _cases_of(words: Sequence[str] | frozenset[str]) -> list[str]:
    """Return words in lower case in all ways of writing them large and small."""
    pairs = ([{c, c.upper()} for c in word] for word in sorted(words))
    return ["".join(letters) for pair in pairs for letters in itertools.product(*map(sorted, pair))]
