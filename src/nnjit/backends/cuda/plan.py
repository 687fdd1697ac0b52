"""Buffers and launches for one data set, batch size and optimizer."""

import numpy as np

from nnjit.backends.cuda import choice as choices
from nnjit.backends.cuda import control, kernels, updates
from nnjit.backends.cuda._cuda import launch, most_blocks
from nnjit.backends.cuda.arguments import Buffers, Matrix, Samples, Schedule
from nnjit.backends.cuda.memory import allocate

__all__ = ["TrainPlan"]

# Blocks of the kernels that are launched phase by phase; more work is shared out among them.
MOST_PHASE_BLOCKS = 4096


class TrainPlan:
    """Everything on the device that training needs beside parameters, data and optimizer.

    Parameters
    ----------
    engine : CudaEngine
    dataset : CudaDataset
    n_order, batch_size : int
        Rows that an epoch visits, and rows of a minibatch.
    optimizer : CudaOptimizer
    delta_scale : float, default=1.0
        Factor on the derivatives of the loss.
    """

    def __init__(self, engine, dataset, n_order, batch_size, optimizer, delta_scale=1.0):
        self._for = n_order, batch_size
        self.dataset, self.optimizer = dataset, optimizer
        self._delta_scale = delta_scale
        batch_size = min(batch_size, n_order)
        self.per_epoch = -(-n_order // batch_size)
        self._engine, self._order = engine, None
        self._formulas = engine.formulas._replace(solver=optimizer.solver)
        self._layout = control.layout_of(optimizer.solver)
        self._allocate(self._choose(batch_size, True), batch_size)
        arguments = (engine.net, self._samples, self._schedule, self._buffers, 0, 0)
        if not self._fit_grid(arguments):  # no cooperative launches here
            self._allocate(self._choose(batch_size, False), batch_size)
            self._fit_grid(arguments)

    def _choose(self, batch_size, cooperative):
        engine = self._engine
        return choices.choose(
            engine.layer_units, batch_size, engine.dtype, cooperative, engine.net.row_values
        )

    def _allocate(self, choice, batch_size):
        engine, dtype = self._engine, self._engine.dtype
        n_params, n_order = engine.net.n_params, self._for[0]
        self.choice = choice
        per_pass = engine.net.row_values * choice.rows
        parallel = choice.blocks if choice.form == "slices" and not choice.shared_work else 1
        weight_ranges = -(-engine.net.n_weights // (choice.tile.threads * updates.RANGE_PER_THREAD))
        made = allocate(
            "Training",
            grads=(choice.slots * n_params, dtype),
            work=(1 if choice.shared_work else parallel * per_pass, dtype),
            row_loss=(batch_size, np.float64),
            row_weight=(batch_size, np.float64),
            squares=(2 * weight_ranges, np.float64),
            losses=(1, np.float64),
            control=(self._layout.size, np.float64),
            rates=(1, np.float64),
            order=(n_order, np.int64),
        )
        order = made.pop("order")
        self._buffers = Buffers(
            params=engine.params, vectors=self.optimizer.vectors,
            loss_parameters=engine.loss_parameters, **made,
        )  # fmt: skip
        rows, targets = self.dataset.rows, self.dataset
        self._samples = Samples(
            rows.x, rows.row, rows.column, rows.indices, rows.indptr, targets.targets,
            targets.target_columns, targets.labels, targets.weights, int(targets.weighted), order,
        )  # fmt: skip
        self._schedule = Schedule(batch_size, n_order, self.per_epoch, choice.rows, choice.step, 0)

    def _fit_grid(self, arguments):
        """Choose kernel and number of blocks; False if the device cannot run the form."""
        choice, single = self.choice, self._engine.single
        if choice.form == "phases":
            self._kernel = kernels.phase_kernels(single, choice.tile, self._formulas)
            self._blocks = min(choice.blocks, MOST_PHASE_BLOCKS)
            return True
        if choice.form == "grid":
            self._kernel = kernels.grid_kernel(single, choice.tile, self._formulas)
        else:
            self._kernel = kernels.slice_kernel(
                single, choice.tile, self._formulas, choice.blocks > 1, choice.shared_params,
                choice.shared_work,
            )  # fmt: skip
        self._blocks = choice.blocks
        if choice.blocks > 1:
            most = most_blocks(self._kernel, arguments, choice.tile.threads, choice.shared_bytes)
            self._blocks = min(choice.blocks, most)
        return self._blocks > 0

    def serves(self, dataset, n_order, batch_size, optimizer):
        """Whether this plan was made for these."""
        return (
            self.dataset is dataset
            and self.optimizer is optimizer
            and self._for == (n_order, batch_size)
        )

    def use_order(self, order, first):
        """Visit the rows in this order; uploaded when an epoch begins or it has changed."""
        if first == 0 or self._order is None or not np.array_equal(order, self._order):
            self._order = np.array(order, np.int64)
            self._samples.order[: len(order)].copy_to_device(self._order)

    def use_orders(self, orders):
        """Visit the rows in these orders, an epoch each."""
        if orders.size > self._samples.order.size:
            made = allocate(
                "Training", order=(orders.size, np.int64), losses=(len(orders), np.float64)
            )
            self._samples = self._samples._replace(order=made["order"])
            self._buffers = self._buffers._replace(losses=made["losses"])
        self._order = None
        flat = np.ascontiguousarray(orders, np.int64).reshape(-1)
        self._samples.order[: flat.size].copy_to_device(flat)

    def losses(self, n_epochs):
        """Sum over the minibatches of loss times rows of each epoch of the last run."""
        return self._buffers.losses.copy_to_host()[:n_epochs].tolist()

    def run(self, first, last, alpha):
        """Minibatches first..last-1, counted from epoch to epoch; the state after them.

        The state is that of control.py.
        """
        optimizer = self.optimizer
        self._use_rates(optimizer.rates, last - first)
        self._schedule = self._schedule._replace(seed=int(optimizer.seed))
        self._buffers.control.copy_to_device(self._settings(alpha))
        if self.choice.form == "phases":
            self._run_phases(first, last)
        else:
            launch(
                self._kernel, self._blocks, self.choice.tile.threads, self._engine.net,
                self._samples, self._schedule, self._buffers, first, last,
                shared_bytes=self.choice.shared_bytes,
            )  # fmt: skip
        state = self._buffers.control.copy_to_host()[self._layout.state_at((last - first) % 2)]
        optimizer.clock[:] = state[control.CLOCK :]
        return state

    def _use_rates(self, rates, count):
        """Take over the base rates of the next minibatches, if they have rates of their own."""
        if rates is None:
            return
        rates = np.ascontiguousarray(rates, np.float64)
        if rates.shape != (count,):
            raise ValueError(f"There are {rates.size} rates for {count} minibatches.")
        if count > self._buffers.rates.size:
            made = allocate("Training", rates=(count, np.float64))
            self._buffers = self._buffers._replace(rates=made["rates"])
        self._buffers.rates[:count].copy_to_device(rates)

    def _settings(self, alpha):
        """What kernels are told, with the state of the first step."""
        optimizer, layout = self.optimizer, self._layout
        settings = np.zeros(layout.size)
        settings[control.RATE], settings[control.ALPHA] = optimizer.learning_rate, alpha
        settings[control.DELTA_SCALE] = self._delta_scale
        settings[control.SCHEDULED] = optimizer.rates is not None
        settings[layout.hyperparameters : layout.state] = optimizer.settings
        state = settings[layout.state_at(0)]
        state[control.RUNNING], state[control.CLOCK :] = 1.0, optimizer.clock
        return settings

    def _run_phases(self, first, last):
        phases, choice = self._kernel, self.choice
        net, samples, schedule, buffers = (
            self._engine.net, self._samples, self._schedule, self._buffers,
        )  # fmt: skip
        grid = self._blocks, choice.tile.threads
        launch(phases.weigh, *grid, net, buffers)
        for batch in range(first, last):
            epoch, place = batch // self.per_epoch, batch % self.per_epoch * schedule.batch_size
            start = epoch * schedule.n_order + place
            rows = min(schedule.batch_size, schedule.n_order - place)
            for at in range(0, rows, schedule.rows):
                self._run_pass(grid, batch - first, start + at, min(schedule.rows, rows - at), at)
            slots = -(-min(rows, schedule.rows) // schedule.step)
            launch(
                phases.update, *grid, net, buffers, rows, samples.weighted, slots,
                batch - first, epoch, int(place == 0),
            )  # fmt: skip

    def _run_pass(self, grid, number, start, rows, at):
        phases, net, buffers, work = (
            self._kernel, self._engine.net, self._buffers, self._buffers.work,
        )  # fmt: skip
        dense, drawing = self._engine.dense, (net, self._schedule, buffers, number, rows, at)
        launch(phases.gather, *grid, net, self._samples, work, start, rows)
        for layer, (units, inputs_at, drops) in enumerate(dense):
            if drops:
                launch(phases.drop_values, *grid, layer, *drawing)
            inputs = Matrix(work, inputs_at * rows, units, 1)
            launch(phases.forward, *grid, layer, net, buffers.params, inputs, work, rows)
        launch(phases.output, *grid, net, self._samples, buffers, start, rows, at)
        for layer in reversed(range(net.n_layers)):
            launch(
                phases.backward, *grid, layer, net, buffers, rows, self._schedule.step, int(at > 0)
            )
            if layer > 0 and dense[layer][2]:
                launch(phases.drop_deltas, *grid, layer, *drawing)
