"""Deep rewiring as a callback."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from dsr_tf import methods
from dsr_tf.callbacks.kernels import apply_reallocation
from dsr_tf.callbacks.kernels import flat_tensors
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.checks import checked_number
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
        signs: Sign that each weight of each sparse layer began with, int8,
            flat: variables, which a resumed run needs.

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
        self.signs: list[tf.Variable] = []

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _check_units(self._layers)
        self._rewire = tf.function(self._rewire_once)
        if not self.signs and all(layer.built for layer in self._layers):
            self._begin_signs()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        temperature = piecewise(self.temperature, epoch)
        stddev = (2 * self.noise_rate * temperature) ** 0.5
        self._stddev = tf.constant(stddev, tf.float32)
        self._moved = tf.zeros([], tf.int64)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.state.weights_moved += int(self._moved)
        super().on_epoch_end(epoch, logs)

    def _reallocate(self) -> None:
        if not self.signs:
            self._begin_signs()
        seed = tf.constant([self.seed, self._step], tf.int32)
        # Added up on the device: the host need not wait for it.
        self._moved += self._rewire(seed, self._stddev)
        self.state.num_reallocations += 1

    def _rewire_once(self, seed: tf.Tensor, stddev: tf.Tensor) -> tf.Tensor:
        """Shakes and rewires all layers; returns how many weights came."""
        for i, layer in enumerate(self._layers):
            noise_seed = fold(fold(seed, 0), i)
            layer.kernel.assign(_shaken(layer, stddev, noise_seed))
        tensors = flat_tensors(self._layers, self.signs)
        survivors, growth, num_grown = self.method.rewire(
            tensors, fold(seed, 1)
        )
        apply_reallocation(self._layers, self._slots, survivors, growth)
        for i, (signs, grown) in enumerate(
            zip(self.signs, growth, strict=True)
        ):
            fresh = _random_signs(tf.shape(grown.positions), seed, i)
            signs.assign(
                tf.tensor_scatter_nd_update(
                    signs, grown.positions[:, None], fresh
                )
            )
        return num_grown

    def _begin_signs(self) -> None:
        """Takes the signs of the weights, and draws those of zeros."""
        seed = tf.constant([self.seed, 0], tf.int32)
        for i, layer in enumerate(self._layers):
            weights = tf.reshape(layer.kernel.value, [-1])
            drawn = _random_signs(tf.shape(weights), seed, i)
            signs = tf.cast(tf.sign(weights), tf.int8)
            self.signs.append(tf.Variable(tf.where(signs == 0, drawn, signs)))


def _shaken(layer: Any, stddev: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the kernel with noise on its active weights alone."""
    # As many normals as active weights: to draw one for each weight would
    # take longer than the training step.
    active = tf.where(tf.equal(layer.kernel_mask.value, 1))
    noise = tf.random.stateless_normal(
        tf.shape(active)[:1], seed, stddev=stddev, alg="philox"
    )
    kernel = layer.kernel.value
    return tf.tensor_scatter_nd_add(
        kernel, active, tf.cast(noise, kernel.dtype)
    )


def _random_signs(shape: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    bits = tf.random.stateless_uniform(
        shape, fold(fold(seed, 2), index), 0, 2, tf.int32, alg="philox"
    )
    return tf.cast(2 * bits - 1, tf.int8)


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
