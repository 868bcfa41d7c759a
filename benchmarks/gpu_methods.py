"""Whether every method trains on a card, at what cost, and repeatably.

Each trains the network of a file of `flags/`, in turn with the dense one:
WRN-28-2, or, where stored blocks move, a perceptron. Quick, these are
LeNet-300-100, and WRN-10-1 where slices of convolutions move.
"""

import functools
import gc
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing
from benchmarks.training import SMALL_WIDE_RESNET
from benchmarks.training import Training
from benchmarks.training import paper_config
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers import sparse_layers
from dsr_tf.runs import Config

# Steps between reallocations, and steps that a round times.
PERIOD, STEPS = 5, 20
_DSR = ("--method=dsr", "--num_pruned=0.3")
METHODS = {
    "static": ("--method=static",),
    "dsr": _DSR,
    "dsr by gradient": (*_DSR, "--growth=gradient", "--regrow_stddev=0"),
    # As in the paper; the others find theirs anew.
    "dsr by a threshold": ("--method=dsr", "--initial_threshold=1e-3"),
    "set": ("--method=set",),
    "rigl": ("--method=rigl",),
    "itop": ("--method=itop",),
    "snfs": ("--method=snfs",),
    # The budget of the others, from the first step on.
    "granet": ("--method=granet", "--initial_sparsity=0.9"),
    "mest": ("--method=mest",),
    "chts": ("--method=chts",),
    "deepr": ("--method=deepr",),
    # The flag must be given; nothing is read from there.
    "gradual pruning": (
        *("--method=compressed", "--init_from=none", "--num_prunes=3"),
    ),
    "hashed": ("--method=hashed",),
    "dsr of slices": (*_DSR, "--granularity=kernel"),
    "dsr of stored blocks": (*_DSR, "--granularity=16x16", "--storage=blocks"),
}
# Flags of a network, after the name of a file of `flags/`.
Flags = tuple[str, ...]


def network(method: str, quick: bool) -> Flags:
    """Returns the flags of the network that a method trains."""
    if quick and method == "dsr of slices":
        return "cifar10_wrn_10_1_dsr_90", *SMALL_WIDE_RESNET
    if quick:
        return "mnist_lenet_dsr_90", "--batch_size=100"
    if method == "dsr of stored blocks":
        return "mnist_mlp_dsr_99", "--sparsity=0.9", "--batch_size=128"
    return "cifar10_wrn_28_2_dsr_90", "--batch_size=128"


def trained(
    method: str, precision: str, xla: bool, rounds: int, quick: bool
) -> dict[str, Any]:
    """Trains with a method, and tells whether it did right, and its cost.

    Args:
        method: One of `METHODS`.
        precision: `"float32"`, or `"float16"`: mixed.
        xla: Whether steps are compiled by XLA.
        rounds: How often steps are timed.
        quick: Whether the network is a small one.
    """
    given = network(method, quick)
    if precision != "float32":
        given = (*given, f"--mixed_precision={precision}")
    dense, dense_bytes = _dense(given, xla)
    config = _config(given, METHODS[method])
    training, num_bytes = _begun(config, xla)
    times = timing.alternate(
        {"own": training, "dense": dense}, rounds, warm_up=0
    )
    return {
        "network": dense.model.name,
        "seconds": timing.summary(times["own"]),
        "to_dense": timing.summary(times["own"], times["dense"]),
        "peak_bytes": num_bytes,
        "peak_bytes_of_dense": dense_bytes,
        **verdict(config, training),
    }


# The next network takes its place.
@functools.lru_cache(maxsize=1)
def _dense(given: Flags, xla: bool) -> tuple[Training, int | None]:
    return _begun(_config(given, ("--method=dense",)), xla)


def _config(given: Flags, method: Flags) -> Config:
    return paper_config(*given, f"--period={PERIOD}", *method)


def _begun(config: Config, xla: bool) -> tuple[Training, int | None]:
    """Trains some steps; returns the most bytes held meanwhile, if on a card.

    What was held before is not among them.
    """
    gc.collect()
    has_card = bool(tf.config.list_physical_devices("GPU"))
    if has_card:
        tf.config.experimental.reset_memory_stats("GPU:0")
        before = tf.config.experimental.get_memory_info("GPU:0")["current"]
    training = Training(config, STEPS, jit_compile=xla)
    training()
    if not has_card:
        return training, None
    info = tf.config.experimental.get_memory_info("GPU:0")
    return training, int(info["peak"] - before)


def verdict(config: Config, training: Training) -> dict[str, Any]:
    """Tells whether a training kept its budget, its masks and its numbers."""
    model = training.model
    layers = sparse_layers(model)
    found = {
        "budget": training.budget,
        "weights": sum(x.num_active for x in budgeted_layers(model)),
        "reallocations": _reallocations(training),
        "is_finite": all(np.isfinite(x.numpy()).all() for x in model.variables),
        "is_masked": all(map(_is_masked, layers)),
    }
    # Units of several sizes stay whole, so less than one may be left over.
    unit = max((layer.kernel_units.size for layer in layers), default=1)
    is_right = 0 <= found["budget"] - found["weights"] < unit
    is_right &= found["is_finite"] and found["is_masked"]
    is_right &= bool(found["reallocations"]) == config.record.moves_weights
    return {**found, "is_right": is_right}


def _reallocations(training: Training) -> int:
    if training.callback is None:
        return 0
    reallocator = training.callback.reallocator_of(training.model)
    return reallocator.counters.num_reallocations


def _is_masked(layer: Any) -> bool:
    """Tells whether weights outside a mask are 0; stored blocks have none."""
    if not isinstance(layer, MaskedKernel):
        return True
    return not layer.kernel.numpy()[~layer.kernel_mask.numpy()].any()


def repeated(method: str, xla: bool, quick: bool) -> dict[str, Any]:
    """Trains twice under determinism, and compares all bits.

    It changes the process for good.
    """
    tf.config.experimental.enable_op_determinism()
    first, second = (_values(method, xla, quick) for _ in range(2))
    differing = sum(
        int((one != other).sum())
        for one, other in zip(first, second, strict=True)
    )
    return {"differing": differing, "is_right": not differing}


def _values(method: str, xla: bool, quick: bool) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    config = _config(network(method, quick), METHODS[method])
    training, _ = _begun(config, xla)
    return [x.numpy() for x in training.model.variables]
