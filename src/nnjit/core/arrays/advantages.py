"""Advantages of actions, from rewards and from what a network says that states are worth."""

from nnjit.core.compiler.jit import kernel

__all__ = ["advantages"]


@kernel
def advantages(rewards, values, next_values, terminated, last, gamma, decay, out):
    """Generalized advantage estimation over steps in order of time, episode behind episode.

    With the error of a value, e_t = r_t + gamma v(s_{t+1}) - v(s_t),

        out_t = e_t + gamma decay e_{t+1} + (gamma decay)^2 e_{t+2} + ...

    up to the last step of the episode, or the last one that there is of it.

    rewards, values, next_values IN (n,), float64; next_values[t] of the observation that step t
    led to. terminated IN (n,), uint8: nothing comes behind step t, whose next value counts 0.
    last IN (n,), uint8: step t+1 is not of the same episode. out OUT (n,), float64.

    J. Schulman et al., "High-dimensional continuous control using generalized advantage
    estimation", ICLR 2016, eq. 16.
    """
    n, sum_ = len(out), 0.0
    for back in range(n):
        t = n - 1 - back
        error = rewards[t] - values[t]
        if terminated[t] == 0:
            error += gamma * next_values[t]
        if last[t] != 0:
            sum_ = 0.0
        sum_ = error + gamma * decay * sum_
        out[t] = sum_
