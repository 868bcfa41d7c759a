"""Learning rates that rise at first."""

from typing import Any

import keras
from keras import ops

from dsr_tf.checks import checked_count
from dsr_tf.checks import of_python


@keras.saving.register_keras_serializable(package="dsr_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Multiplies a learning rate by a factor that rises to 1 at first.

    The factor is `min((step + 1) / warmup_steps, 1)`.

    Args:
        learning_rate: A number, or one of Keras' schedules.
        warmup_steps: Optimizer steps until the factor is 1, at least 1.

    Raises:
        ValueError: If `warmup_steps` is no such count.

    Reference:
        [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 2.2.
    """

    def __init__(self, learning_rate: Any, warmup_steps: int) -> None:
        super().__init__()
        self.learning_rate = of_python(learning_rate)
        self.warmup_steps = checked_count("warmup_steps", warmup_steps, 1)

    def __call__(self, step: Any) -> Any:
        rate = self.learning_rate
        if callable(rate):
            rate = rate(step)
        share = (ops.cast(step, "float32") + 1) / self.warmup_steps
        return rate * ops.minimum(share, 1.0)

    def get_config(self) -> dict[str, Any]:
        rate = self.learning_rate
        if callable(rate):
            rate = keras.saving.serialize_keras_object(rate)
        return {"learning_rate": rate, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        rate = config["learning_rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate)
        return cls(**{**config, "learning_rate": rate})
