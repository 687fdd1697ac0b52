"""Solvers: how a parameter w with gradient g moves in one step.

Each returns rate(...), None where the rate is the base rate, and step(...), see
`nnjit.formulas.registry.Solver`.
"""

from nnjit.formulas.registry import solver

__all__ = ["adam", "sgd"]


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
