"""Runs on two replicas; see `tests/digests.py`."""

import functools
import os
import sys

import tensorflow as tf

from dsr_tf.distribute import choose_strategy
from tests.digest_fits import METHODS
from tests.digest_fits import fit
from tests.digest_fits import network
from tests.digest_fits import started
from tests.digest_values import of_network
from tests.digest_values import write_runs

# Methods, with the optimizer of each.
RUNS = {
    **{"dsr": "sgd", "set": "scaled", "deepr": "sgd", "compressed": "adam"},
    **{"rigl": "sgd", "snfs": "adam", "granet": "sgd", "mest": "scaled"},
    **{"chts": "sgd", "dsr_gradient": "adam"},
}


def trained(strategy: tf.distribute.Strategy, method: str) -> dict[str, str]:
    with started(), strategy.scope():
        model = network(method, RUNS[method])
    initial = of_network(model, "initial_")
    # Says that pruning may end before the last prune.
    short = {"stop_epoch": 1} if method == "compressed" else {}
    return initial | fit(model, METHODS[method](**short), epochs=1)


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    strategy = choose_strategy("mirrored")
    runs = {
        f"{method}_mirrored": functools.partial(trained, strategy, method)
        for method in RUNS
    }
    write_runs(runs, *sys.argv[1:])
    # TensorFlow can take up to a minute to let the iterators go.
    os._exit(0)
