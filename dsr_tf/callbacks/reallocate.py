"""The callback that runs a method inside `fit`."""

import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from dsr_tf.callbacks.kernels import apply_reallocation
from dsr_tf.callbacks.kernels import flat_tensors
from dsr_tf.callbacks.slots import Slot
from dsr_tf.callbacks.slots import find_slots
from dsr_tf.callbacks.state import ReallocationState
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
        seed: Non-negative integer. Equal seeds, equal runs.

    Attributes:
        state: What a resumed run needs; `tf.train.Checkpoint` holds it.
        reallocation_seconds: Time spent in reallocations, in seconds.

    Raises:
        ValueError: If an argument is out of its range; when training begins
            (after the first step, if the model was not built), if the model
            has no trainable sparse layer, or too small a budget.
        FloatingPointError: At a reallocation, if a weight is NaN or infinite.
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
        self.stop_epoch = _checked_count("stop_epoch", stop_epoch, none=True)
        self.seed = _checked_count("seed", seed)
        self.state = ReallocationState(method.prune.initial_state())
        self.reallocation_seconds = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self._layers: list[MaskedKernel] = []
        # `fit` builds a model that is not built in its first step.
        if self.model.built:
            self._attach()
        self._warn_of_late_reallocations()
        self._slots: list[list[Slot]] | None = None
        self._step = self._read_step()
        self._batches_since = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._period = piecewise(self.period, epoch)
        self._active = self.stop_epoch is None or epoch < self.stop_epoch
        self._last_batch = -1
        self._moved_before = self.state.weights_moved

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._layers:
            self._attach()
        self._batches_since += batch - self._last_batch
        self._last_batch = batch
        # A batch is one optimizer step at most: gradients may accumulate, and
        # steps overflow. The true count makes the host wait for the device, so
        # it is read only when a multiple may have been crossed.
        latest = self._step + self._batches_since
        if latest // self._period == self._step // self._period:
            return
        before, self._step = self._step, self._read_step()
        self._batches_since = 0
        crossed = self._step // self._period > before // self._period
        if crossed and self._active:
            self.reallocate()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is None:
            return
        logs["weights_moved"] = self.state.weights_moved - self._moved_before
        logs["active_weights"] = sum(x.num_active for x in self._layers)
        logs.update(self.state.method)

    def reallocate(self) -> None:
        """Runs one reallocation now."""
        begin = time.perf_counter()
        if self._slots is None:
            self._slots = self._find_slots()
        try:
            result = self.method.reallocate(
                flat_tensors(self._layers),
                self.state.method,
                tf.constant([self.seed, self._step], tf.int32),
            )
        except NonFiniteWeightError as error:
            name = self._layers[error.index].name
            raise FloatingPointError(
                "The kernel of every sparse layer must be finite. Received a "
                f"NaN or an infinite weight in layer '{name}' at optimizer "
                f"step {self._step}. No mask was changed. Try a smaller "
                "learning rate, or `clipnorm`."
            ) from None
        apply_reallocation(self._layers, self._slots, result)
        self.state.method = result.state
        self.state.num_reallocations += 1
        self.state.weights_moved += sum(result.num_grown)
        self.reallocation_seconds += time.perf_counter() - begin

    def _attach(self) -> None:
        self._layers = _trainable_sparse_layers(self.model)
        self.method.prune.check(sum(x.num_active for x in self._layers))

    def _warn_of_late_reallocations(self) -> None:
        execution = self.model.steps_per_execution
        counts = [self.params.get("steps") or 0, *self.period.values()]
        if any(count % execution for count in counts):
            logging.warning(
                "`steps_per_execution=%d` does not divide both the steps of an "
                "epoch and the period, so reallocations can come up to %d "
                "steps late.",
                execution,
                execution - 1,
            )

    def _read_step(self) -> int:
        # `int(iterations)` raises on a mirrored variable.
        iterations = self.model.optimizer.iterations
        return int(keras.ops.convert_to_numpy(iterations))

    def _find_slots(self) -> list[list[Slot]]:
        variables = self.model.trainable_variables
        slots = find_slots(self.model.optimizer, variables)
        index = {id(variable): i for i, variable in enumerate(variables)}
        return [slots[index[id(layer.kernel)]] for layer in self._layers]


def _trainable_sparse_layers(model: keras.Model) -> list[MaskedKernel]:
    layers = [x for x in sparse_layers(model) if x.kernel.trainable]
    if not layers:
        raise ValueError(
            "The model must have at least one trainable sparse layer. Replace "
            "`keras.layers.Dense` by `dsr_tf.layers.SparseDense`, or "
            "`keras.layers.Conv2D` by `dsr_tf.layers.SparseConv2D`. "
            f"Received: model '{model.name}' with layers "
            f"{[layer.name for layer in model.layers]}"
        )
    return layers


def _checked_period(period: int | Mapping[int, int]) -> dict[int, int]:
    schedule = dict(period) if isinstance(period, Mapping) else {0: period}
    validate("period", schedule)
    for steps in schedule.values():
        if not _is_count(steps) or steps < 1:
            raise ValueError(
                "`period` must be a number of optimizer steps, an integer of "
                "at least 1, or `{from_epoch: steps}`. "
                f"Received: period={period}"
            )
    return schedule


def _checked_count(name: str, value: Any, none: bool = False) -> Any:
    if (none and value is None) or (_is_count(value) and value >= 0):
        return value
    raise ValueError(
        f"`{name}` must be a non-negative integer{' or None' * none}. "
        f"Received: {name}={value}"
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
