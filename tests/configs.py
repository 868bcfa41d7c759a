"""Settings of short runs."""

import dataclasses

from dsr_tf.methods.records import find
from dsr_tf.methods.settings import settings_of
from dsr_tf.runs.config import Budget
from dsr_tf.runs.config import Config
from dsr_tf.runs.config import Data
from dsr_tf.runs.config import Execution
from dsr_tf.runs.config import Moves
from dsr_tf.runs.config import Network
from dsr_tf.runs.config import Start
from dsr_tf.runs.config import Training
from dsr_tf.schedules import ByEpoch

# What a method is told, where it is not its default.
SETTINGS = {
    "num_pruned": 100,
    "initial_threshold": 0.01,
    "regrow_stddev": 1e-3,
    "temperature": 1e-5,
    "num_prunes": 2,
}


def settings(method, changes):
    """Returns the settings of a method, with some changed."""
    kind = find(method).settings
    names = {setting.name for setting in settings_of(kind)}
    given = {**SETTINGS, **changes}
    return kind(**{name: x for name, x in given.items() if name in names})


CONFIG = Config(
    data=Data(
        dataset="digits",
        data_dir=None,
        image_size=None,
        train_examples=None,
        train_split=None,
        test_split=None,
    ),
    network=Network(
        model="lenet_300_100", depth=28, width=None, sparse_logits=False
    ),
    budget=Budget(
        method="dsr",
        sparsity=0.9,
        distribution="uniform",
        granularity="weight",
    ),
    settings=settings("dsr", {}),
    training=Training(
        epochs=3,
        batch_size=100,
        learning_rate=ByEpoch(((0, 0.1), (2, 0.01))),
        momentum=0.9,
        l1=1e-4,
        l2=0.0,
        group_lasso=0.0,
        seed=0,
        # To compile a short run by XLA takes longer than the run.
        jit="off",
    ),
    moves=Moves(period=ByEpoch(((0, 15),)), stop_epoch=None),
    start=Start(init_from=None, masks_from=None, weights_from=None),
    execution=Execution(
        run_dir="",
        overwrite=False,
        strategy="none",
        checkpoint_steps=None,
        keep_checkpoints=3,
        keep_best=None,
        tensorboard=False,
    ),
    flags="--dataset=digits\n",
)


def config(path, **changes):
    """Returns the settings of a run in a folder, with some changed.

    Schedules by epoch may be given as `{from_epoch: value}`.
    """
    changes["run_dir"] = str(path)
    for name in ("learning_rate", "period"):
        if isinstance(changes.get(name), dict):
            changes[name] = ByEpoch(tuple(changes[name].items()))
    flags = changes.pop("flags", CONFIG.flags)
    parts = {
        group: _changed(getattr(CONFIG, group), changes)
        for group in vars(CONFIG).keys() - {"settings", "flags", "stop"}
    }
    own = settings(parts["budget"].method, changes)
    unknown = set(changes) - set(vars(own)) - _fields(parts)
    assert not unknown, unknown
    return Config(**parts, settings=own, flags=flags)


def _changed(group, changes):
    own = {name: x for name, x in changes.items() if name in vars(group)}
    return dataclasses.replace(group, **own)


def _fields(parts):
    return {name for part in parts.values() for name in vars(part)}
