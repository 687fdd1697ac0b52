"""A builder of ONNX graphs: values with arithmetic, nodes, constants, and the model in the end."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.prefixes import prefixed

__all__ = ["Dimension", "Graph", "Number", "Undecided", "Value", "needed"]

Dimension: TypeAlias = int | str  # a name stands for any number, "n" for the rows


def needed(module: str) -> Any:
    """Return a module of ONNX's, which an extra installs.

    Raises
    ------
    ImportError
        That names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"to_onnx needs {package}: pip install 'nnjit[onnx]'") from error


class Undecided(Exception):
    """A condition that depends on a value was asked whether it is true."""

    def __init__(self, condition: Value) -> None:
        super().__init__("a condition depends on a value of the graph")
        self.condition = condition


class Value:
    """What a node gives out, with the arithmetic of numbers.

    Attributes
    ----------
    graph : Graph
    name : str
    dtype : numpy dtype
        ``np.dtype(object)`` for strings.
    """

    # NumPy's numbers leave arithmetic to this class.
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, graph: Graph, name: str, dtype: Any) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.dtype})"

    def __add__(self, other: Number) -> Value:
        return self.graph.add("Add", self, other)

    def __radd__(self, other: Number) -> Value:
        return self.graph.add("Add", other, self)

    def __sub__(self, other: Number) -> Value:
        return self.graph.add("Sub", self, other)

    def __rsub__(self, other: Number) -> Value:
        return self.graph.add("Sub", other, self)

    def __mul__(self, other: Number) -> Value:
        return self.graph.add("Mul", self, other)

    def __rmul__(self, other: Number) -> Value:
        return self.graph.add("Mul", other, self)

    def __truediv__(self, other: Number) -> Value:
        return self.graph.add("Div", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return self.graph.add("Div", other, self)

    def __pow__(self, other: Number) -> Value:
        return self.graph.add("Pow", self, other)

    def __rpow__(self, other: Number) -> Value:
        return self.graph.add("Pow", other, self)

    def __neg__(self) -> Value:
        return self.graph.add("Neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self.graph.add("Abs", self)

    def __lt__(self, other: Any) -> Value:
        return self.graph.add("Less", self, other, dtype=bool)

    def __le__(self, other: Any) -> Value:
        return self.graph.add("LessOrEqual", self, other, dtype=bool)

    def __gt__(self, other: Any) -> Value:
        return self.graph.add("Greater", self, other, dtype=bool)

    def __ge__(self, other: Any) -> Value:
        return self.graph.add("GreaterOrEqual", self, other, dtype=bool)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return self.graph.add("Equal", self, other, dtype=bool)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return ~self.graph.add("Equal", self, other, dtype=bool)

    def __and__(self, other: Value) -> Value:
        return self.graph.add("And", self, other)

    def __or__(self, other: Value) -> Value:
        return self.graph.add("Or", self, other)

    def __invert__(self) -> Value:
        return self.graph.add("Not", self)

    def __bool__(self) -> bool:
        if self.name not in self.graph.answers:
            raise Undecided(self)
        return self.graph.answers[self.name]


Number: TypeAlias = Value | float | Array


class Graph:
    """Nodes, constants, inputs and outputs of a model that is being built.

    A node that is there already, of the same operator, inputs and attributes, is not made again.

    Parameters
    ----------
    opset : int
        Version of ONNX's own operators.
    outer : Graph, optional
        Whose values a body of a loop may read; constants are kept there.
    """

    def __init__(self, opset: int, outer: Graph | None = None) -> None:
        self.opset, self.outer = opset, outer
        self._helper: Any = needed("onnx.helper")
        self._numpy: Any = needed("onnx.numpy_helper")
        self._nodes: list[Any] = []
        self._made: dict[Any, list[Value]] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[Any, tuple[Value, Any]] = {}
        self._counts: dict[str, int] = outer._counts if outer else {}
        # Names of inputs and outputs, which users may choose: a node's could be one of them.
        self._given: set[str] = outer._given if outer else set()
        self._domains: dict[str, int] = outer._domains if outer else {}
        self.answers: dict[str, bool] = {}  # to conditions, while a function is traced

    # Building

    def input(self, name: str, dtype: Any, shape: Sequence[Dimension]) -> Value:
        """Return a new input of the model."""
        self._given.add(name)
        self._inputs.append(self._information(name, dtype, shape))
        return Value(self, name, dtype)

    def output(self, name: str, value: Value, shape: Sequence[Dimension]) -> None:
        """Give a value out under a name."""
        self._given.add(name)
        self._nodes.append(self._helper.make_node("Identity", [value.name], [name]))
        self._outputs.append(self._information(name, value.dtype, shape))

    def constant(self, array: Any, dtype: Any = None) -> Value:
        """Return a constant; the same numbers of the same type and shape are one."""
        if self.outer is not None:
            found = self.outer.constant(array, dtype)
            return Value(self, found.name, found.dtype)
        given = np.asarray(array, dtype)
        if given.dtype.kind in "UO":
            given = given.astype(object)
        content = tuple(given.ravel().tolist()) if given.dtype.kind == "O" else given.tobytes()
        key = given.dtype.str, given.shape, content
        if key not in self._constants:
            name = self.name("constant")
            proto = self._numpy.from_array(np.ascontiguousarray(given).reshape(given.shape), name)
            self._constants[key] = Value(self, name, given.dtype), proto
        return self._constants[key][0]

    def add(
        self,
        op: str,
        *inputs: Number | None,
        dtype: Any = None,
        domain: str = "",
        **attributes: Any,
    ) -> Value:
        """Return what a node with one output gives out; see `add_many`."""
        (found,) = self.add_many(op, *inputs, dtypes=[dtype], domain=domain, **attributes)
        return found

    def add_many(
        self,
        op: str,
        *inputs: Number | None,
        dtypes: Sequence[Any],
        domain: str = "",
        **attributes: Any,
    ) -> list[Value]:
        """Return what a node gives out.

        Parameters
        ----------
        op : str
            Operator.
        *inputs : Value, float, ndarray or None
            Numbers and arrays become constants: numbers of the type of the first value, arrays of
            floats too; others as they are. None stands for an input that is left out.
        dtypes : sequence
            Types of the outputs, None for that of the first value.
        domain : str
            Of the operator, "" for ONNX's own; see `use_domain`.
        **attributes
        """
        first = next((one.dtype for one in inputs if isinstance(one, Value)), None)
        given = [self._as_value(one, first) for one in inputs]
        key = self._key(op, domain, given, attributes, len(dtypes))
        if key is not None and key in self._made:
            return self._made[key]
        made = [Value(self, self.name(op), first if one is None else one) for one in dtypes]
        self._nodes.append(
            self._helper.make_node(
                op, given, [one.name for one in made], self.name(op), domain=domain, **attributes
            )
        )
        if key is not None:
            self._made[key] = made
        return made

    def name(self, stem: str) -> str:
        """Return a name that nothing has yet, and that nothing given begins with."""
        while True:
            number = self._counts[stem] = self._counts.get(stem, 0) + 1
            if not any(given.startswith(f"{stem}_{number}") for given in self._given):
                return f"{stem}_{number}"

    # What is often wanted

    def cast(self, value: Value, dtype: Any) -> Value:
        """Return a value as another type, itself if it is of that type."""
        wanted = np.dtype(dtype)
        if value.dtype == wanted:
            return value
        return self.add("Cast", value, dtype=wanted, to=self._type(wanted))

    def reshape(self, value: Value, *shape: int) -> Value:
        """Return a value in another shape, of which 0 stands for the number that is there."""
        return self.add("Reshape", value, np.array(shape, np.int64))

    def transpose(self, value: Value, *order: int) -> Value:
        """Return a value with its axes in another order."""
        return self.add("Transpose", value, perm=list(order))

    def take(self, value: Value | Array, indices: Value | Array | int, axis: int) -> Value:
        """Return the elements of these numbers along an axis."""
        array = value if isinstance(value, Value) else self.constant(value)
        return self.add("Gather", array, indices, dtype=array.dtype, axis=axis)

    def columns(self, value: Value, start: int, stop: int, axis: int = 1) -> Value:
        """Return a part of a value along an axis."""
        ends = [np.array([one], np.int64) for one in (start, stop, axis)]
        return self.add("Slice", value, *ends)

    def concatenate(self, values: Sequence[Value], axis: int) -> Value:
        """Return values joined along an axis."""
        return values[0] if len(values) == 1 else self.add("Concat", *values, axis=axis)

    def reduce(self, op: str, value: Value, *axes: int, keepdims: bool = False) -> Value:
        """Return "Sum", "Mean", "Max" or "Min" of a value over axes."""
        return self.add(f"Reduce{op}", value, np.array(axes, np.int64), keepdims=int(keepdims))

    def where(self, condition: Value, value: Number, other: Number) -> Value:
        """Return a value where a condition holds, else another one."""
        typed = next(one for one in (value, other) if isinstance(one, Value))
        picked = [
            one if isinstance(one, Value) else self.constant(one, typed.dtype)
            for one in (value, other)
        ]
        return self.add("Where", condition, *picked, dtype=typed.dtype)

    # Other operators, and other models

    def use_domain(self, domain: str, version: int) -> None:
        """Have the model import operators beside ONNX's own."""
        self._domains[domain] = max(version, self._domains.get(domain, 0))

    def inline(self, model: Any, inputs: dict[str, Value]) -> dict[str, Value]:
        """Put another model's nodes into this one; return its outputs by name.

        Parameters
        ----------
        model : onnx.ModelProto
            Of an opset that is this one's.
        inputs : dict of str to Value
            What its inputs are.

        Returns
        -------
        dict of str to Value
        """
        prefix = self.name("part") + "_"
        renamed = {name: value.name for name, value in inputs.items()}
        taken = prefixed(model.graph, prefix)
        known = {prefix + name: new for name, new in renamed.items()}
        for node in taken.node:
            self._nodes.append(_renamed(node, known))
        for tensor in taken.initializer:
            self._constants[tensor.name] = Value(self, tensor.name, object), tensor
        for one in model.opset_import:
            if one.domain:
                self.use_domain(one.domain, one.version)
        to_dtype = self._helper.tensor_dtype_to_np_dtype
        return {
            one.name: Value(
                self,
                known.get(prefix + one.name, prefix + one.name),
                to_dtype(one.type.tensor_type.elem_type),
            )
            for one in model.graph.output
        }

    def body(self) -> Graph:
        """Return a new graph for the body of a loop, which may read this one's values."""
        return Graph(self.opset, self)

    def proto(self, name: str) -> Any:
        """Return this graph as `onnx.GraphProto`, without nodes that nobody reads."""
        constants = [proto for _, proto in self._constants.values()]
        nodes = self._read(self._nodes)
        read = {one for node in nodes for one in _names_read(node)}
        used = [proto for proto in constants if proto.name in read]
        return self._helper.make_graph(nodes, name, self._inputs, self._outputs, used)

    def model(self, name: str, doc: str = "", metadata: dict[str, str] | None = None) -> Any:
        """Return the model, checked.

        Parameters
        ----------
        name : str
            Of the graph.
        doc : str
        metadata : dict of str to str

        Returns
        -------
        onnx.ModelProto
        """
        from nnjit._version import __version__

        imports = [self._helper.make_opsetid("", self.opset)]
        imports += [self._helper.make_opsetid(*pair) for pair in self._domains.items()]
        made = self._helper.make_model(
            self.proto(name),
            opset_imports=imports,
            producer_name="nnjit",
            producer_version=__version__,
            doc_string=doc,
            # onnx knows no versions of onnxruntime's own domain
            ir_version=self._helper.find_min_ir_version_for(
                [one for one in imports if one.domain in ("", "ai.onnx.ml")]
            ),
        )
        if metadata:
            self._helper.set_model_props(made, metadata)
        needed("onnx.checker").check_model(made)
        return made

    # The rest

    def _as_value(self, given: Number | None, first: Any) -> str:
        """Return the name of an input of a node."""
        if given is None:
            return ""
        if isinstance(given, Value):
            return given.name
        array = np.asarray(given)
        floats = first is not None and np.dtype(first).kind == "f"
        if array.ndim == 0 or (array.dtype.kind == "f" and floats):
            return self.constant(array, first).name
        return self.constant(array).name

    def _key(
        self, op: str, domain: str, given: list[str], attributes: dict[str, Any], outputs: int
    ) -> Any:
        """Return what tells nodes apart, None for one with a body."""
        parts = []
        for name, value in sorted(attributes.items()):
            if not isinstance(value, int | float | str | bytes | list):
                return None
            parts.append((name, tuple(value) if isinstance(value, list) else value))
        return op, domain, tuple(given), tuple(parts), outputs

    def _type(self, dtype: Any) -> int:
        kind = np.dtype(dtype)
        if kind.kind in "UO":
            return int(needed("onnx").TensorProto.STRING)
        return int(self._helper.np_dtype_to_tensor_dtype(kind))

    def _information(self, name: str, dtype: Any, shape: Sequence[Dimension]) -> Any:
        return self._helper.make_tensor_value_info(name, self._type(dtype), [*shape])

    def _read(self, nodes: Iterable[Any]) -> list[Any]:
        """Return the nodes that outputs depend on, in their order."""
        wanted, kept = {one.name for one in self._outputs}, []
        for node in reversed([*nodes]):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(_names_read(node))
        return kept[::-1]


def _names_read(node: Any) -> set[str]:
    """Return the names that a node reads, in the bodies of loops as well."""
    found = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                found |= _names_read(inner)
            found |= {one.name for one in attribute.g.output}
    return found


def _renamed(node: Any, known: dict[str, str]) -> Any:
    """Return a node that reads other names, in the bodies of loops as well."""
    for names in (node.input, node.output):
        for place, name in enumerate(names):
            names[place] = known.get(name, name)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                _renamed(inner, known)
    return node
