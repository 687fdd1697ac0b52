"""Device functions over tuples, which are as long as an entry of the registry makes them."""

import functools

from nnjit.backends.cuda._cuda import device

__all__ = ["cast", "picker", "reader", "taking", "writer", "zero_unless"]


@functools.cache
def reader(count, real):
    """``read(values, at, stride)``: `count` elements from `at` on, as a tuple of reals."""
    if count == 0:

        @device
        def nothing(values, at, stride):
            return ()

        return nothing
    before, last = reader(count - 1, real), count - 1

    @device
    def read(values, at, stride):
        return before(values, at, stride) + (real(values[at + last * stride]),)

    return read


@functools.cache
def writer(count, skipped):
    """``write(values, at, stride, elements)``: the opposite, but for the first elements."""
    if count == 0:

        @device
        def nothing(values, at, stride, elements):
            pass

        return nothing
    before, last = writer(count - 1, skipped), count - 1
    element = last + skipped

    @device
    def write(values, at, stride, elements):
        before(values, at, stride, elements)
        values[at + last * stride] = elements[element]

    return write


@functools.cache
def picker(positions):
    """``pick(elements)``: a tuple of the elements at these positions."""
    if not positions:

        @device
        def nothing(elements):
            return ()

        return nothing
    before, position = picker(positions[:-1]), positions[-1]

    @device
    def pick(elements):
        return before(elements) + (elements[position],)

    return pick


@functools.cache
def cast(count, real):
    """``cast(values)``: a tuple of as many reals."""
    if count == 0:

        @device
        def nothing(values):
            return ()

        return nothing
    before, last = cast(count - 1, real), count - 1

    @device
    def convert(values):
        return before(values) + (real(values[last]),)

    return convert


@functools.cache
def zero_unless(positions, count, real):
    """``choose(values, keep)``: a tuple of as many reals, 0 at the positions unless `keep`."""
    if count == 0:

        @device
        def nothing(values, keep):
            return ()

        return nothing
    before, last, zero = zero_unless(positions, count - 1, real), count - 1, real(0)
    always = last not in positions

    @device
    def choose(values, keep):
        return before(values, keep) + (values[last] if always or keep else zero,)

    return choose


def taking(function, names, given):
    """Device function of one tuple, the values of all `given` names: `function` of those named."""
    pick = picker(tuple(given.index(name) for name in names))

    @device
    def call(values):
        return function(*pick(values))

    return call
