"""Deep rewiring as a callback."""

import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from dsr_tf import methods
from dsr_tf.callbacks.kernels import apply_reallocation
from dsr_tf.callbacks.kernels import dense
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.signs import Signs
from dsr_tf.checks import checked_number
from dsr_tf.layers import MaskedKernel
from dsr_tf.methods import Tensors
from dsr_tf.methods.grow import fold
from dsr_tf.methods.schedules import piecewise
from dsr_tf.methods.schedules import validate


class DeepR(Reallocate):
    """Walks at random, and replaces every weight that crosses zero.

    After every optimizer step noise N(0, 2·`noise_rate`·`temperature`) is
    added to the active weights. Those whose sign then is not the one they
    began with are pruned, and as many are grown in the same tensor, at random,
    at 0, with a random sign. The method wants an L1 penalty: put it on the
    kernels.

    Needs `steps_per_execution=1`; otherwise it acts once an execution.

    Args:
        temperature: `T`, at least 0, or `{from_epoch: temperature}`.
        noise_rate: `eta`, the learning rate in the formula of the noise, at
            least 0.
        stop_epoch: Epoch, counted from 0, from which on there is neither noise
            nor rewiring; None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds, equal runs.

    Attributes:
        signs: Sign that each weight of each sparse layer began with, which a
            resumed run needs beside `state`.

    Raises:
        ValueError: If an argument is out of its range; when training begins
            if the model has no trainable sparse layer, or one that moves more
            than single weights.
        FloatingPointError: At the end of an epoch, if a weight is NaN or
            infinite.

    Example:
    >>> rewire = dsr_tf.callbacks.DeepR({0: 1e-5, 25: 1e-8})
    >>> model.fit(x, y, callbacks=[rewire])

    Reference:
        [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), Algorithm 1,
        with the settings of
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), code.
    """

    def __init__(
        self,
        temperature: float | Mapping[int, float],
        noise_rate: float = 0.01,
        stop_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(methods.deepr(), 1, stop_epoch, seed)
        self.temperature = _checked_temperature(temperature)
        self.noise_rate = checked_number("noise_rate", noise_rate)
        self.signs = Signs()
        self._moved = tf.zeros([], tf.int64)

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _check_units(self._layers)
        # Those of another model mean nothing here.
        if not self.signs.belong_to(self._layers):
            self.signs.forget()
        if all(layer.built for layer in self._layers):
            self.signs.begin(self._layers, self.seed)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        temperature = piecewise(self.temperature, epoch)
        stddev = (2 * self.noise_rate * temperature) ** 0.5
        self._stddev = tf.constant(stddev, tf.float32)

    def flush(self) -> None:
        """Waits for the device, to learn how many weights it has moved."""
        self.state.weights_moved += int(self._moved)
        self._moved = tf.zeros([], tf.int64)

    def trackables(self) -> dict[str, Any]:
        """Returns all that a resumed run needs, as checkpoints hold it."""
        return {**super().trackables(), "signs": self.signs}

    def _reallocate(self) -> None:
        self.signs.begin(self._layers, self.seed)
        begin = time.perf_counter()
        self._compile()
        seed = tf.constant([self.seed, self._step], tf.int32)
        # Added up on the device: the host need not wait for it.
        self._moved += self._compiled(seed, self._stddev)
        self.state.num_reallocations += 1
        self.state.seconds += time.perf_counter() - begin

    def _compiled_function(self) -> Any:
        return tf.function(self._rewire_once, autograph=False)

    def _rewire_once(self, seed: tf.Tensor, stddev: tf.Tensor) -> tf.Tensor:
        """Shakes and rewires all layers; returns how many weights came."""
        masks = [
            tf.reshape(layer.kernel_mask.value, [-1]) for layer in self._layers
        ]
        positions = [tf.where(mask)[:, 0] for mask in masks]
        active = Tensors(
            weights=[
                _shaken(layer, where, stddev, fold(fold(seed, 0), i))
                for i, (layer, where) in enumerate(
                    zip(self._layers, positions, strict=True)
                )
            ],
            masks=[tf.ones_like(where, tf.bool) for where in positions],
            signs=[
                tf.gather(signs, where)
                for signs, where in zip(
                    self.signs.values, positions, strict=True
                )
            ],
        )
        gone, growth, num_grown = self.method.rewire(
            active, masks, fold(seed, 1)
        )
        for i, layer in enumerate(self._layers):
            shape = tuple(layer.kernel.shape)
            layer.kernel.assign(dense(positions[i], active.weights[i], shape))
            self.signs.redraw(i, growth[i].positions, seed)
        gone = [
            tf.gather(where, chosen)
            for where, chosen in zip(positions, gone, strict=True)
        ]
        apply_reallocation(self._layers, self._slots, gone, growth)
        return num_grown


def _shaken(
    layer: MaskedKernel,
    positions: tf.Tensor,
    stddev: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Returns the weights at some positions with noise."""
    weights = tf.gather(tf.reshape(layer.kernel.value, [-1]), positions)
    noise = tf.random.stateless_normal(
        tf.shape(positions), seed, stddev=stddev, alg="auto_select"
    )
    return weights + tf.cast(noise, weights.dtype)


def _check_units(layers: list[Any]) -> None:
    for layer in layers:
        if layer.granularity != "weight":
            raise ValueError(
                "`granularity` must be 'weight' in all sparse layers that "
                "DeepR rewires: several weights have no common sign. Received: "
                f"granularity={layer.granularity} in layer '{layer.name}'"
            )


def _checked_temperature(
    temperature: float | Mapping[int, float],
) -> dict[int, float]:
    schedule = (
        dict(temperature)
        if isinstance(temperature, Mapping)
        else {0: temperature}
    )
    validate("temperature", schedule)
    return {
        epoch: checked_number("temperature", value)
        for epoch, value in schedule.items()
    }
