"""What a stochastic solver carries from step to step, wherever its vectors lie."""

import numpy as np

__all__ = ["SolverState", "in_present_form"]


class SolverState:
    """Settings, clock and vectors of a solver over one network's parameters.

    An engine's optimizer derives from it and says where the vectors lie: `n_parameters`,
    `_read(name)` returns a packed copy of a vector, `_write(name, packed)` takes one over.

    Parameters
    ----------
    solver : nnjit.formulas.registry.Solver
    hyperparameters : dict
        The entry has defaults for those that are left out.
    average : float, optional
        Decay rate of an average of the parameters, which is one vector more.
    seed : int, default=0
        Of what layers draw in training, from 0 on.

    Attributes
    ----------
    learning_rate : float
        Base rate, read at every call of an engine's `train`.
    rates : ndarray of float64 or None
        One base rate for each minibatch of the next call instead, in order.
    settings : ndarray of float64
        The hyperparameters in the order of the entry.
    clock : ndarray of float64
        Steps done, then the powers that the entry asks for; compiled code moves it on.
    vector_names : tuple of str
        Those of the entry, and 'average' if there is one.
    """

    def __init__(self, solver, hyperparameters, average=None, seed=0):
        unknown = sorted(hyperparameters.keys() - solver.hyperparameters.keys())
        if unknown:
            raise TypeError(
                f"The solver {solver.name!r} has no hyperparameter {', '.join(unknown)}; "
                f"it has {', '.join(solver.hyperparameters) or 'none'}."
            )
        settings = {**solver.hyperparameters, **hyperparameters}
        self.solver, self.average = solver, average
        self.vector_names = (*solver.vectors, *(() if average is None else ("average",)))
        self.learning_rate = 0.0
        self.seed = int(seed)
        self.rates = None
        self.settings = np.array(list(settings.values()), np.float64)
        self.clock = np.array([0.0, *[1.0] * len(solver.powers)])

    @property
    def t(self):
        """Steps done."""
        return int(self.clock[0])

    def averages(self):
        """Copies of the parameters' averages, in the order that an engine's `unpack` has.

        None where none are kept, or before the first step.
        """
        return None

    def state(self):
        """Copies of everything a later `load_state` needs to go on bit for bit.

        Returns
        -------
        dict
            'learning_rate', 'steps', 'powers' (float64, in the order of the entry), 'vectors', a
            packed vector by name, without padding, so that it fits another machine or engine, and
            'seed'.
        """
        return {
            "learning_rate": np.float64(self.learning_rate),
            "steps": self.t,
            "powers": self.clock[1:].copy(),
            "vectors": {name: self._read(name) for name in self.vector_names},
            "seed": self.seed,
        }

    def load_state(self, state):
        """Restore what `state` returned, here, in another engine or in an earlier version.

        Raises
        ------
        ValueError
            If it belongs to another network or solver; nothing has changed then.
        """
        state = in_present_form(state, self.solver)
        self._check(state)
        for name, vector in state["vectors"].items():
            self._write(name, vector)
        self.learning_rate = float(state["learning_rate"])
        self.clock[0], self.clock[1:] = state["steps"], state["powers"]
        self.seed = int(state.get("seed", 0))  # states of earlier versions have none

    def _check(self, state):
        what = "The optimizer state is for another network or solver"
        if set(state["vectors"]) != set(self.vector_names):
            raise ValueError(
                f"{what}: its vectors are {_listed(state['vectors'])}, but {self.solver.name!r} "
                f"has {_listed(self.vector_names)}."
            )
        arrays = [(*item, self.n_parameters) for item in state["vectors"].items()]
        for name, array, size in [*arrays, ("powers", state["powers"], len(self.solver.powers))]:
            if np.shape(array) != (size,):
                raise ValueError(
                    f"{what}: {name!r} has shape {np.shape(array)}, expected {(size,)}."
                )


def _listed(names):
    return ", ".join(map(repr, names)) or "none"


def in_present_form(state, solver):
    """A solver's state as `SolverState.state` has it today.

    Before solvers named their vectors a state had 'first', 'second' (of no elements where a
    solver had one vector) and 'clock', the steps with two powers, be they used or not.
    """
    if "vectors" in state:
        return state
    former = [name for name in ("first", "second") if np.size(state[name])]
    names = [*solver.vectors[: len(former)], *former[len(solver.vectors) :]]
    return {
        "learning_rate": state["learning_rate"],
        "steps": int(state["clock"][0]),
        "powers": np.array(state["clock"][1 : 1 + len(solver.powers)], np.float64),
        "vectors": {new: state[old] for new, old in zip(names, former, strict=True)},
    }
