"""What every LLVM function of the matrix primitives is made with.

Each `emit_*` adds one internal function to a module, or finds it there, and returns it.
Strides and counts are in elements, 64-bit. See primitives.py for what they compute.
"""

import contextlib

from llvmlite import ir

__all__ = [
    "CACHE_LINE",
    "I64",
    "VOID",
    "Vectors",
    "counted",
    "cover",
    "declare",
    "external",
    "function_type",
    "heights",
    "integer",
    "larger",
    "prefetch",
    "smaller",
    "sweep",
]

I64 = ir.IntType(64)
VOID = ir.VoidType()
CACHE_LINE = 64  # bytes


def integer(value):
    """A 64-bit constant."""
    return ir.Constant(I64, value)


def declare(module, name, real, arguments):
    """Declare the internal function `name`, or return (function, False) if it is there.

    For `arguments` see `function_type`.
    """
    if name in module.globals:
        return module.globals[name], False
    function = ir.Function(module, function_type(real, arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")  # one copy of a tile, however often it is called
    function.attributes.add("nounwind")
    return function, True


def function_type(real, arguments):
    """Type of a function without a result.

    `arguments` has a letter for each: p for a pointer to reals, x to integers, i for an integer.
    """
    kinds = {"p": real.as_pointer(), "x": I64.as_pointer(), "i": I64}
    return ir.FunctionType(VOID, [kinds[letter] for letter in arguments])


def external(module, kind, name):
    """The function `name` of another module, or LLVM's own, declared once."""
    found = module.globals.get(name)
    return ir.Function(module, kind, name) if found is None else found


@contextlib.contextmanager
def counted(builder, count):
    """Emit a loop; yields its index, 0 to count - 1."""
    condition = builder.append_basic_block("for.condition")
    body = builder.append_basic_block("for.body")
    end = builder.append_basic_block("for.end")
    before = builder.block
    builder.branch(condition)
    builder.position_at_end(condition)
    index = builder.phi(count.type, name="index")
    builder.cbranch(builder.icmp_signed("<", index, count), body, end)
    builder.position_at_end(body)
    yield index
    raised = builder.add(index, ir.Constant(count.type, 1), flags=["nsw"])
    index.add_incoming(ir.Constant(count.type, 0), before)
    index.add_incoming(raised, builder.block)
    builder.branch(condition)
    builder.position_at_end(end)


class Vectors:
    """Emission helpers for one real type and one vector length."""

    def __init__(self, real, length):
        self.real = real
        self.length = length
        self.type = ir.VectorType(real, length)
        self.suffix = Vectors.suffix_of(real)
        self.align = Vectors.size_of(real)
        self.zero = ir.Constant(self.type, [ir.Constant(real, 0.0)] * length)

    @staticmethod
    def suffix_of(real):
        return "f32" if isinstance(real, ir.FloatType) else "f64"

    @staticmethod
    def size_of(real):
        """Bytes of an element."""
        return 4 if isinstance(real, ir.FloatType) else 8

    def load(self, builder, pointer):
        vector = builder.load(builder.bitcast(pointer, self.type.as_pointer()))
        vector.align = self.align
        return vector

    def store(self, builder, value, pointer):
        builder.store(value, builder.bitcast(pointer, self.type.as_pointer())).align = self.align

    def mask(self, builder, count):
        """The first `count` lanes."""
        narrow = ir.IntType(32)
        splat = Vectors.splat_of(builder, builder.trunc(count, narrow), self.length)
        lanes = ir.Constant(splat.type, list(range(self.length)))
        return builder.icmp_signed("<", lanes, splat)

    def load_masked(self, builder, pointer, mask):
        kind = ir.FunctionType(
            self.type, [self.type.as_pointer(), ir.IntType(32), mask.type, self.type]
        )
        name = f"llvm.masked.load.v{self.length}{self.suffix}.p0"
        function = external(builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.align)
        pointer = builder.bitcast(pointer, self.type.as_pointer())
        return builder.call(function, [pointer, align, mask, self.zero])

    def store_masked(self, builder, value, pointer, mask):
        kind = ir.FunctionType(VOID, [self.type, self.type.as_pointer(), ir.IntType(32), mask.type])
        name = f"llvm.masked.store.v{self.length}{self.suffix}.p0"
        function = external(builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.align)
        pointer = builder.bitcast(pointer, self.type.as_pointer())
        builder.call(function, [value, pointer, align, mask])

    def splat(self, builder, scalar):
        return Vectors.splat_of(builder, scalar, self.length)

    @staticmethod
    def splat_of(builder, scalar, length):
        undefined = ir.Constant(ir.VectorType(scalar.type, length), ir.Undefined)
        one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), length), [0] * length)
        return builder.shuffle_vector(one, undefined, mask)

    def shuffle(self, builder, left, right, indices):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.length), indices)
        return builder.shuffle_vector(left, right, mask)

    def fma(self, builder, a, b, c):
        # fused where the machine has it, multiply and add elsewhere (never a libm call)
        name = f"llvm.fmuladd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        return builder.call(external(builder.module, signature, name), [a, b, c])

    def sum(self, builder, vector):
        name = f"llvm.vector.reduce.fadd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.real, [self.real, self.type])
        function = external(builder.module, signature, name)
        start = ir.Constant(self.real, -0.0)  # to which anything is added without an addition
        return builder.call(function, [start, vector], fastmath=["reassoc"])


def smaller(builder, one, other):
    """The smaller of two integers."""
    return builder.select(builder.icmp_signed("<", one, other), one, other)


def larger(builder, one, other):
    """The larger of two integers."""
    return builder.select(builder.icmp_signed(">", one, other), one, other)


def prefetch(builder, pointer, nearness=3):
    """Ask for the cache line at an address that need not exist, 3 for the nearest cache."""
    narrow = ir.IntType(32)
    kind = ir.FunctionType(VOID, [pointer.type, narrow, narrow, narrow])
    function = external(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(narrow, n) for n in (0, nearness, 1))])


def heights(tile_rows):
    """The tile's height and its halves down to one."""
    heights = [tile_rows]
    while heights[-1] > 1:
        heights.append(heights[-1] // 2)
    return heights


def sweep(builder, count, heights, body):
    """Cover `count` rows: as many of the largest height as fit, then each half at most once.

    `body(height, first_row)` emits the work for one group of rows.
    """
    top = heights[0]
    with counted(builder, builder.sdiv(count, integer(top))) as index:
        body(top, builder.mul(index, integer(top)))
    for height in heights[1:]:
        with builder.if_then(
            builder.icmp_signed("!=", builder.and_(count, integer(height)), integer(0))
        ):
            body(height, builder.and_(count, integer(-2 * height)))


def cover(builder, count, sizes, body):
    """Cover `count` rows: as many of the first size as fit, then of each smaller one, to 1.

    `body(size, first_row)` emits the work for one group of rows.
    """
    done = integer(0)
    for size in sizes:
        groups = builder.sdiv(builder.sub(count, done), integer(size))
        with counted(builder, groups) as index:
            body(size, builder.add(done, builder.mul(index, integer(size))))
        done = builder.add(done, builder.mul(groups, integer(size)))
