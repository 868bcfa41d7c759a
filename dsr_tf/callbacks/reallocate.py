"""The callback that runs a method inside `fit`."""

import time
import zlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from dsr_tf.callbacks.compiled import CompiledReallocation
from dsr_tf.callbacks.replicas import Replicas
from dsr_tf.callbacks.replicas import check_trainable
from dsr_tf.callbacks.slots import Slot
from dsr_tf.callbacks.slots import find_slots
from dsr_tf.callbacks.state import ReallocationState
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_seed
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import sparse_layers
from dsr_tf.methods import Method
from dsr_tf.methods import NonFiniteWeightError
from dsr_tf.methods.schedules import piecewise
from dsr_tf.methods.schedules import validate


class Reallocate(keras.callbacks.Callback):
    """Prunes and regrows the sparse layers of a model while it trains.

    A reallocation runs when the number of optimizer steps has crossed a
    multiple of the period. With `steps_per_execution` above 1 that is the end
    of the execution in which it was crossed.

    Every epoch's logs get `weights_moved` (in this epoch), `active_weights`
    (now), and what the method adapts, such as `threshold`.

    Args:
        method: What to prune, how to allocate and where to grow.
        period: Optimizer steps between reallocations, at least 1, or
            `{from_epoch: steps}`.
        stop_epoch: Epoch, counted from 0, from which on the masks stay as they
            are; None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds, equal runs.

    Attributes:
        state: What a resumed run needs; `callbacks.Checkpoint` holds it.

    Raises:
        ValueError: If an argument is out of its range; when training begins
            if the model has no trainable sparse layer, or too small a budget;
            the budget of a model that is not built yet is known only after
            its first step.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.
        ReplicasDifferError: At a reallocation, or after the first step, if
            masks, kernels or slots differ between replicas or workers, or
            these have other arguments.
    """

    def __init__(
        self,
        method: Method,
        period: int | Mapping[int, int],
        stop_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.period = _checked_period(period)
        self.stop_epoch = checked_count("stop_epoch", stop_epoch, optional=True)
        self.seed = checked_seed(seed)
        self.state = ReallocationState(method.prune.initial_state())
        self._compiled_for: list[Any] = []

    def check(self, layers: Sequence[MaskedKernel]) -> None:
        """Raises a ValueError if the method cannot serve these layers.

        Args:
            layers: Sparse layers, built.
        """
        units = [layer.num_active // layer.unit_size for layer in layers]
        self.method.prune.check(sum(units))

    def on_train_begin(self, logs: Any = None) -> None:
        self._layers = _trainable_sparse_layers(self.model)
        self._slots: list[list[Slot]] = []
        # `fit` builds a model that is not built in its first step.
        if all(layer.built for layer in self._layers):
            self.check(self._layers)
        check_trainable(self.model)
        self._warn_of_late_reallocations()
        self._period = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        period = piecewise(self.period, epoch)
        if period != self._period:
            # Multiples of the new period count from here on.
            self._period = period
            self._sync()
        self._active = self.stop_epoch is None or epoch < self.stop_epoch
        self._last_batch = -1
        # Not in the middle of an epoch that a resumed run goes on with.
        if self.state.epoch != epoch:
            self.state.epoch = epoch
            self.state.moved_before = self.state.weights_moved

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._slots:
            self.check(self._layers)
            self._slots = self._find_slots()
            self._replicas = Replicas(
                self.model.distribute_strategy, self._layers, self._slots
            )
            self._compare_replicas()
        self._batches_since += batch - self._last_batch
        self._last_batch = batch
        if not self._active:
            return
        # A batch is one optimizer step at most: gradients may accumulate, and
        # steps overflow. The true count makes the host wait for the device, so
        # it is read only when a multiple may have been crossed.
        before = self._step // self._period
        if (self._step + self._batches_since) // self._period > before:
            self._sync()
            if self._step // self._period > before:
                # Before too: what is read on one replica is assigned to all,
                # which would hide that they differed.
                self._compare_replicas()
                self._reallocate()
                self._compare_replicas()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.flush()
        self.state.epoch = None
        if logs is None:
            return
        self._check_finite()
        state = self.state
        logs["weights_moved"] = state.weights_moved - state.moved_before
        logs["active_weights"] = self._budget()
        logs.update(state.method)

    def flush(self) -> None:
        """Brings `state` up to date with what the device has counted."""

    def trackables(self) -> dict[str, Any]:
        """Returns all that a resumed run needs, as checkpoints hold it."""
        return {"state": self.state}

    def _reallocate(self) -> None:
        begin = time.perf_counter()
        self._compile()
        seed = tf.constant([self.seed, self._step], tf.int32)
        try:
            plan = self._compiled(self.state.method, seed, self.state.unspent)
        except NonFiniteWeightError as error:
            raise self._non_finite(
                error.index, " No mask was changed."
            ) from None
        self.state.method = self.method.prune.next_state(
            self.state.method, sum(plan.pruned)
        )
        self.state.unspent = plan.unspent
        self.state.num_reallocations += 1
        self.state.weights_moved += sum(
            count * layer.unit_size
            for count, layer in zip(plan.grown, self._layers, strict=True)
        )
        self.state.seconds += time.perf_counter() - begin

    def _compile(self) -> None:
        """Makes the compiled function, unless it is of these variables."""
        slots = [slot.variable for layer in self._slots for slot in layer]
        used = [layer.kernel for layer in self._layers] + slots
        known = len(used) == len(self._compiled_for) and all(
            a is b for a, b in zip(used, self._compiled_for, strict=True)
        )
        if not known:
            self._compiled = self._compiled_function()
            self._compiled_for = used

    def _compiled_function(self) -> Any:
        return CompiledReallocation(self.method, self._layers, self._slots)

    def _compare_replicas(self) -> None:
        """Stops the run if replicas or workers do not hold the same."""
        when = repr((sorted(self.period.items()), self.stop_epoch))
        self._replicas.check(
            {
                "step": self._step,
                "seed": self.seed,
                "period and stop_epoch": zlib.crc32(when.encode()),
                "unspent": self.state.unspent,
                **self.state.method,
            }
        )

    def _check_finite(self) -> None:
        """Finds what became NaN or infinite where no reallocation looks."""
        for index, layer in enumerate(self._layers):
            if not tf.reduce_all(tf.math.is_finite(layer.kernel.value)):
                self._sync()
                raise self._non_finite(index)

    def _non_finite(self, index: int, more: str = "") -> FloatingPointError:
        return FloatingPointError(
            "The kernel of every sparse layer must be finite. Received a NaN "
            f"or an infinite weight in layer '{self._layers[index].name}' at "
            f"optimizer step {self._step}.{more} Try a smaller learning rate, "
            "or `clipnorm`."
        )

    def _budget(self) -> int:
        return sum(layer.num_active for layer in self._layers)

    def _warn_of_late_reallocations(self) -> None:
        execution = self.model.steps_per_execution
        epochs = self.params.get("epochs", 1)
        used = [steps for epoch, steps in self.period.items() if epoch < epochs]
        counts = [self.params.get("steps") or 0, *used]
        if any(count % execution for count in counts):
            logging.warning(
                "`steps_per_execution=%d` does not divide both the steps of an "
                "epoch and the period, so reallocations can come up to %d "
                "steps late.",
                execution,
                execution - 1,
            )

    def _sync(self) -> None:
        """Reads the optimizer's step, for which the host has to wait."""
        # `int(iterations)` raises on a mirrored variable.
        iterations = self.model.optimizer.iterations
        self._step = int(keras.ops.convert_to_numpy(iterations))
        self._batches_since = 0

    def _find_slots(self) -> list[list[Slot]]:
        variables = self.model.trainable_variables
        slots = find_slots(self.model.optimizer, variables)
        index = {id(variable): i for i, variable in enumerate(variables)}
        return [slots[index[id(layer.kernel)]] for layer in self._layers]


def _trainable_sparse_layers(model: keras.Model) -> list[MaskedKernel]:
    found = sparse_layers(model)
    layers = [layer for layer in found if layer.trainable]
    if layers:
        return layers
    if found:
        raise ValueError(
            "The model must have at least one trainable sparse layer. Set "
            "`trainable = True` on one, and compile again. "
            f"Received: model '{model.name}' with {len(found)} sparse layers, "
            "none of them trainable"
        )
    raise ValueError(
        "The model must have at least one sparse layer. Replace "
        "`keras.layers.Dense` by `dsr_tf.layers.SparseDense`, or "
        "`keras.layers.Conv2D` by `dsr_tf.layers.SparseConv2D`; a model that "
        "makes its layers when it is built must be built before `fit`. "
        f"Received: model '{model.name}' with layers "
        f"{[layer.name for layer in model.layers]}"
    )


def _checked_period(period: int | Mapping[int, int]) -> dict[int, int]:
    schedule = dict(period) if isinstance(period, Mapping) else {0: period}
    validate("period", schedule)
    return {
        epoch: checked_count("period", steps, minimum=1)
        for epoch, steps in schedule.items()
    }
