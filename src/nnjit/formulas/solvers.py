"""Solvers: how a parameter w with gradient g moves in one step.

Each returns rate(...), None where the rate is the base rate, and step(...), see
`nnjit.formulas.registry.Solver`. The gradient includes that of the L2 penalty.
"""

from nnjit.formulas.registry import solver

__all__ = ["adagrad", "adam", "adamw", "amsgrad", "lion", "rmsprop", "sgd"]


@solver(vectors=("velocity",), hyperparameters={"momentum": 0.9, "nesterov": 1.0}, scheduled=True)
def sgd(m):
    """Gradient descent with momentum, or Nesterov's where `nesterov` is 1, not 0.

    I. Sutskever et al., ICML 2013.
    """
    zero, one, select = m.zero, m.one, m.select

    def step(w, g, velocity, rate, momentum, nesterov):
        down = rate * g
        v = momentum * velocity - down
        along = select(nesterov != zero, momentum, one)
        return w + (along * v - nesterov * down), v

    return None, step


@solver(
    vectors=("first_moment", "second_moment"),
    hyperparameters={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    powers=("beta_1", "beta_2"),
    squares=("second_moment",),
)
def adam(m):
    """Adam with the corrections of the bias in the rate; D. Kingma and J. Ba, ICLR 2015."""
    one, sqrt = m.one, m.sqrt

    def rate(rate, beta_1, beta_2, epsilon, power_1, power_2):
        return rate * (sqrt(one - power_2) / (one - power_1))

    def step(w, g, first_moment, second_moment, rate, beta_1, beta_2, epsilon):
        first = beta_1 * first_moment + (one - beta_1) * g
        second = beta_2 * second_moment + (one - beta_2) * (g * g)
        return w - rate * first / (sqrt(second) + epsilon), first, second

    return rate, step


@solver(
    vectors=("first_moment", "second_moment", "largest_second_moment"),
    hyperparameters={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    powers=("beta_1", "beta_2"),
    squares=("second_moment", "largest_second_moment"),
    variant_of="adam",
)
def amsgrad(m):
    """Adam divided by the largest second moment so far; S. Reddi, S. Kale and S. Kumar, ICLR 2018.

    Epsilon is added where `adam` has it, after the corrections of the bias.
    """
    one, sqrt, select = m.one, m.sqrt, m.select

    def rate(rate, beta_1, beta_2, epsilon, power_1, power_2):
        return rate * (sqrt(one - power_2) / (one - power_1))

    def step(w, g, first_moment, second_moment, largest, rate, beta_1, beta_2, epsilon):
        first = beta_1 * first_moment + (one - beta_1) * g
        second = beta_2 * second_moment + (one - beta_2) * (g * g)
        most = select(second > largest, second, largest)
        return w - rate * first / (sqrt(most) + epsilon), first, second, most

    return rate, step


@solver(
    vectors=("first_moment", "second_moment"),
    hyperparameters={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01},
    powers=("beta_1", "beta_2"),
    rates=("size", "root", "rate"),
    penalized=("weight_decay",),
    squares=("second_moment",),
)
def adamw(m):
    """Adam with weights that decay apart from the gradient; I. Loshchilov and F. Hutter, ICLR 2019.

    Epsilon is added to the root of the corrected second moment, as in the paper and in PyTorch.
    """
    one, sqrt = m.one, m.sqrt

    def rate(rate, beta_1, beta_2, epsilon, weight_decay, power_1, power_2):
        return rate / (one - power_1), one / sqrt(one - power_2), rate

    def step(w, g, first_moment, second_moment, size, root, rate, beta_1, beta_2, epsilon, decay):
        first = beta_1 * first_moment + (one - beta_1) * g
        second = beta_2 * second_moment + (one - beta_2) * (g * g)
        kept = w - (rate * decay) * w
        return kept - size * first / (sqrt(second) * root + epsilon), first, second

    return rate, step


@solver(
    vectors=("second_moment",),
    hyperparameters={"beta_2": 0.999, "epsilon": 1e-8},
    squares=("second_moment",),
)
def rmsprop(m):
    """Steps divided by a running root mean square; T. Tieleman and G. Hinton, 2012."""
    one, sqrt = m.one, m.sqrt

    def step(w, g, second_moment, rate, beta_2, epsilon):
        second = beta_2 * second_moment + (one - beta_2) * (g * g)
        return w - rate * g / (sqrt(second) + epsilon), second

    return None, step


@solver(
    vectors=("first_moment",),
    hyperparameters={"beta_1": 0.9, "beta_2": 0.999, "weight_decay": 0.01},
    penalized=("weight_decay",),
)
def lion(m):
    """Steps of one length, along the sign of a mean; X. Chen et al., NeurIPS 2023."""
    zero, one, select = m.zero, m.one, m.select

    def step(w, g, first_moment, rate, beta_1, beta_2, decay):
        along = beta_1 * first_moment + (one - beta_1) * g
        # NaN stays NaN
        sign = select(along > zero, one, select(along < zero, -one, along))
        first = beta_2 * first_moment + (one - beta_2) * g
        return w - rate * (sign + decay * w), first

    return None, step


@solver(vectors=("sum_of_squares",), hyperparameters={"epsilon": 1e-8}, squares=("sum_of_squares",))
def adagrad(m):
    """Steps divided by the root of all squares so far; J. Duchi et al., JMLR 12, 2011."""
    sqrt = m.sqrt

    def step(w, g, sum_of_squares, rate, epsilon):
        total = sum_of_squares + g * g
        return w - rate * g / (sqrt(total) + epsilon), total

    return None, step
