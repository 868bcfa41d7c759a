"""Times a DSR reallocation, from variables to variables, against sorting.

    python -m benchmarks.reallocation [--rounds=9] [--quick] [--json=PATH]
        [--sparsity=0.8]

The network is ResNet-50, built with SGD and momentum: 49 sparse tensors, 22.7 M
weights. Before each round all active weights are drawn anew, so that 3.2 % of
them are below the threshold: 145,000 at sparsity .8. A reallocation is timed
in turn with one that finds its threshold anew, as DSR does by default; and with
what a method that ranks all positions at random cannot do without: drawing a
random float32 for every weight, and sorting them, in NumPy, all at once, or
tensor by tensor, which takes less.

Then come the same over networks of ten equal layers, from 10^5 to 10^8
weights; how much memory a reallocation needs at its peak; and how many
operations it executes: both as TensorFlow's profiler sees them. Quick, the
network is LeNet-300-100.
"""

import math
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf

from benchmarks import command
from benchmarks import timing
from benchmarks.profiler import events
from dsr_tf import methods
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.slots import find_slots
from dsr_tf.models import lenet_300_100
from dsr_tf.models import resnet50
from dsr_tf.training.program import Program
from dsr_tf.training.state import Arrays

SPARSITY = 0.8
# Of N(0, 1) this share is below this threshold.
SHARE = 0.0319
THRESHOLD = 0.04


class Network:
    """A network to reallocate over, as training leaves it."""

    def __init__(self, model: keras.Model) -> None:
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        variables = model.trainable_variables
        optimizer.build(variables)
        found = find_slots(optimizer, variables)
        slots = dict(zip(map(id, variables), found, strict=True))
        self.layers = sparse_layers(model)
        rows = [slots[id(layer.kernel)] for layer in self.layers]
        active = sum(layer.num_active for layer in self.layers)
        # It prunes at most four times as many as it is asked for.
        method = methods.dsr(round(SHARE * active), initial_threshold=THRESHOLD)
        self.program = Program(
            method, self.layers, rows, Arrays(), ["threshold"]
        )
        anew = methods.dsr(SHARE)
        self.anew = Program(anew, self.layers, rows, Arrays(), ["share"])
        self.sizes = [math.prod(layer.kernel.shape) for layer in self.layers]
        self.step = 0
        self._generator = np.random.default_rng(0)
        self._normals = self._generator.standard_normal(
            max(self.sizes), dtype=np.float32
        )

    def draw_weights(self) -> None:
        for layer, size in zip(self.layers, self.sizes, strict=True):
            start = int(self._generator.integers(max(self.sizes)))
            normals = np.roll(self._normals, start)[:size]
            kernel = normals.reshape(layer.kernel.shape)
            kernel *= layer.kernel_mask.numpy()
            layer.kernel.assign(kernel)

    def reallocate(self) -> None:
        self.step += 1
        seed = tf.constant([0, self.step], tf.int32)
        done = self.program({"threshold": THRESHOLD}, None, seed, 0)
        self.num_moved = done.weights_grown

    def reallocate_anew(self) -> None:
        self.step += 1
        seed = tf.constant([0, self.step], tf.int32)
        self.anew({"share": SHARE}, None, seed, 0)

    def sort_at_once(self) -> None:
        self._generator.random(sum(self.sizes), dtype=np.float32).sort()

    def sort_by_tensor(self) -> None:
        for size in self.sizes:
            self._generator.random(size, dtype=np.float32).sort()


def of_ten_layers(num_weights: int, sparsity: float) -> keras.Model:
    x = keras.Input((100,))
    units = num_weights // 1000
    layers = (SparseDense(units, sparsity, use_bias=False) for _ in range(10))
    return keras.Model(x, [layer(x) for layer in layers])


def timed(network: Network, rounds: int) -> dict[str, Any]:
    runs = {
        "reallocation": timing.timed(network.reallocate),
        "anew": timing.timed(network.reallocate_anew),
        "sort_at_once": timing.timed(network.sort_at_once),
        "sort_by_tensor": timing.timed(network.sort_by_tensor),
    }
    times = timing.alternate(runs, rounds, network.draw_weights)
    seconds = times["reallocation"]
    return {
        "tensors": len(network.sizes),
        "weights": sum(network.sizes),
        "moved": network.num_moved,
        **{
            f"{name}_seconds": timing.summary(row)
            for name, row in times.items()
        },
        "nanoseconds_a_weight": 1e9
        * statistics.median(seconds)
        / sum(network.sizes),
        "anew_to_reallocation": timing.summary(times["anew"], seconds),
        "to_sort_at_once": timing.summary(seconds, times["sort_at_once"]),
        "to_sort_by_tensor": timing.summary(seconds, times["sort_by_tensor"]),
    }


def executed(network: Network) -> Counter[str]:
    """Counts the operations that a reallocation executes, by type."""
    # The first is traced, and constants folded, by executing operations too.
    network.draw_weights()
    network.reallocate()
    network.draw_weights()
    seen = events(network.reallocate)
    return Counter(event.operation for event in seen if event.operation)


def peak_bytes(network: Network, reallocate: Callable[[], None]) -> int:
    """Returns how much more memory a reallocation holds than before, at most.

    TensorFlow's profiler sees every allocation, if its CPU allocator is the
    one that keeps records.
    """
    held = peak = 0
    sizes: dict[int, int] = {}
    network.draw_weights()
    for event in events(reallocate):
        if event.name == "MemoryAllocation":
            sizes[event.stats["addr"]] = event.stats["requested_bytes"]
            held += event.stats["requested_bytes"]
        elif event.name == "MemoryDeallocation":
            held -= sizes.pop(
                event.stats["addr"], event.stats["requested_bytes"]
            )
        peak = max(peak, held)
    return peak


def print_extra_bytes(quick: bool, sparsity: float) -> None:
    """Prints the most bytes a weight that reallocations held, of five each."""
    network = network_to_measure(quick, sparsity)
    weights = sum(network.sizes)
    for reallocate in (network.reallocate, network.reallocate_anew):
        # What is there from then on is not extra.
        network.draw_weights()
        reallocate()
        peaks = (peak_bytes(network, reallocate) for _ in range(5))
        print(max(peaks) / weights)


def extra_bytes_a_weight(quick: bool, sparsity: float) -> list[float]:
    """Measures memory in a process of its own.

    Returns:
        That of a threshold that adapts, and of one that is found anew.

    TensorFlow keeps records of a CPU's memory only if it is told to, before
    it starts, and then it is not what it is to be timed with.
    """
    program = "from benchmarks import reallocation as r; r.print_extra_bytes"
    printed = subprocess.run(
        [sys.executable, "-c", f"{program}({quick}, {sparsity})"],
        env={**os.environ, "TF_CPU_ALLOCATOR_USE_BFC": "true"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return list(map(float, printed.split()))


def network_to_measure(quick: bool, sparsity: float) -> Network:
    build = lenet_300_100 if quick else resnet50
    return Network(build(sparsity=sparsity))


def measure(
    rounds: int, quick: bool, sparsity: float = SPARSITY
) -> dict[str, Any]:
    network = network_to_measure(quick, sparsity)
    operations = executed(network)
    results = {
        "network": "LeNet-300-100" if quick else "ResNet-50",
        "sparsity": sparsity,
        **timed(network, rounds),
        "extra_bytes_a_weight": extra_bytes_a_weight(quick, sparsity),
        "num_operations": sum(operations.values()),
        "operations": dict(operations.most_common()),
    }
    results["by_size"] = [
        timed(Network(of_ten_layers(10**exponent, sparsity)), rounds)
        for exponent in range(5, 7 if quick else 9)
    ]
    return results


def show(results: dict[str, Any]) -> None:
    rows = [("ten equal layers", row) for row in results["by_size"]]
    command.table(
        [
            "network",
            "tensors",
            "weights",
            "moved",
            "reallocation",
            "ns a weight",
            "threshold found anew, of one that adapts",
            "of a sort at once",
            "of sorts by tensor",
        ],
        (
            [
                name,
                str(row["tensors"]),
                f"{row['weights']:,}",
                f"{row['moved']:,}",
                f"{1000 * row['reallocation_seconds']['median']:.1f} ms",
                f"{row['nanoseconds_a_weight']:.1f}",
                timing.ranged(row["anew_to_reallocation"]),
                timing.ranged(row["to_sort_at_once"]),
                timing.ranged(row["to_sort_by_tensor"]),
            ]
            for name, row in [(results["network"], results), *rows]
        ),
    )
    operations = results["operations"]
    adapts, anew = results["extra_bytes_a_weight"]
    print(
        f"\n{results['network']} at sparsity {results['sparsity']:g}: "
        f"at most {adapts:.2f} bytes a weight more memory, {anew:.2f} with "
        f"a threshold found anew; "
        f"{results['num_operations']:,} operations, of which "
        f"{operations['Where']} Where and {operations['Unique']} Unique"
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show, {"sparsity": SPARSITY})
