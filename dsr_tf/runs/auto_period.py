"""The period of a run, by the length of its training."""

from dataclasses import replace

from dsr_tf.runs.config import AUTO
from dsr_tf.runs.config import Config
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import WHOLE
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Moment

# The share of a training after which a network has its last masks, and what
# has grown last has time to leave 0.
_SETTLED = 0.75


def with_period(config: Config, steps_per_epoch: int) -> Config:
    """Returns settings with a period of steps in the place of `"auto"`.

    Methods that prune in a number of steps do so within three quarters of the
    training. Others move weights as often as callbacks do by default. Unless
    `--stop_epoch` says when they stop, some do so then as well; those that are
    published without an end go on, but not in the very last step.

    Args:
        config: Settings of a run.
        steps_per_epoch: Optimizer steps in an epoch.
    """
    if config.moves.period != AUTO:
        return config
    steps = config.training.epochs * steps_per_epoch - config.moves.begin_step
    num_prunes = getattr(config.settings, "num_prunes", None)
    period = DEFAULT_PERIOD(Moment(0, num_steps=steps))
    if num_prunes:
        period = int(_SETTLED * steps / num_prunes)
    moves = replace(config.moves, period=Constant(max(1, period)))
    if moves.stop_epoch is not None:
        return replace(config, moves=moves)
    stop = _SETTLED if config.record.settles else WHOLE
    return replace(config, moves=moves, stop=stop)
