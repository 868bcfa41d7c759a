"""One training of the benchmark of accuracies, from its settings."""

import functools
import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass

import keras

import dsr_tf
from benchmarks.block_networks import DENSE
from benchmarks.block_networks import NETWORKS
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import RigL
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.layers import sparse_layers

BATCH_SIZE = 100
# The share of the training after which masks stay as they are.
MOVING = 0.75
# What is trained on, and tested, where settings are chosen.
CHOICE = {"train_split": "train[:50000]", "test_split": "train[50000:]"}


@dataclass(frozen=True)
class Run:
    """The settings of a training.

    Args:
        network: A name in `NETWORKS`.
        method: A name in `METHODS`.
        granularity: What a mask moves.
        density: Share of the weights that the sparse kernels keep.
        seed: Of weights, masks, moves and the order of images.
        epochs: Epochs.
        learning_rate: Rate of Adam, in all epochs.
        period: Steps between reallocations.
        drop_fraction: Share of the active units that a reallocation moves;
            None where nothing moves.
        tested: `"test"`, `"choice"` for a part of the training images, or
            `"quick"` for a small set.
    """

    network: str
    method: str
    granularity: str
    density: float
    seed: int
    epochs: int
    learning_rate: float
    period: int
    drop_fraction: float | None
    tested: str

    def __str__(self) -> str:
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def set_moves(run: Run, model: keras.Model) -> list[SET]:
    return [SET(run.drop_fraction, run.period, _stop_epoch(run), run.seed)]


def dsr_moves(run: Run, model: keras.Model) -> list[DSR]:
    """Returns DSR, whose `num_pruned` counts the units that move."""
    units = sum(x.num_active // x.unit_size for x in sparse_layers(model))
    num_pruned = max(1, round(run.drop_fraction * units))
    return [
        DSR(num_pruned, run.period, stop_epoch=_stop_epoch(run), seed=run.seed)
    ]


def rigl_moves(run: Run, model: keras.Model) -> list[RigL]:
    """Returns RigL, whose share falls to 0 along a cosine until its end."""
    stop = _stop_epoch(run) / run.epochs
    share = run.drop_fraction
    return [RigL(share, run.period, stop=stop, seed=run.seed)]


def no_moves(run: Run, model: keras.Model) -> list[keras.callbacks.Callback]:
    return []


Moves = Callable[[Run, keras.Model], Sequence[keras.callbacks.Callback]]
METHODS: dict[str, Moves] = {
    "dense": no_moves,
    "static": no_moves,
    "set": set_moves,
    "dsr": dsr_moves,
    "rigl": rigl_moves,
}


def _stop_epoch(run: Run) -> int:
    return max(1, int(MOVING * run.epochs))


@functools.cache
def images(tested: str) -> ImageSet:
    if tested == "quick":
        return load_images("digits")
    return load_images("mnist", **(CHOICE if tested == "choice" else {}))


def accuracy(run: Run) -> float:
    """Trains, and returns the accuracy of the last epoch, in %."""
    # Models of earlier runs would stay in memory, and their names counted on.
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    data = images(run.tested)
    steps = data.num_train // BATCH_SIZE
    model = _compiled(run, data, steps)
    model.fit(
        data.train_batches(BATCH_SIZE, run.seed),
        epochs=run.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=list(METHODS[run.method](run, model)),
    )
    found = model.evaluate(data.eval_batches(), verbose=0, return_dict=True)
    return round(100 * found["accuracy"], 2)


def _compiled(run: Run, data: ImageSet, steps: int) -> keras.Model:
    model = sparse_network(run, data.image_shape, data.num_classes)
    model.compile(
        keras.optimizers.Adam(run.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=math.gcd(steps, run.period),
        jit_compile=False,
    )
    return model


def sparse_network(
    run: Run, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Returns the network of a run, which is dense if its method says so."""
    model = NETWORKS[run.network](input_shape, num_classes)
    if run.method == "dense":
        return model
    return dsr_tf.sparsify(
        model,
        1 - run.density,
        exclude=DENSE[run.network],
        granularity=run.granularity,
        seed=run.seed,
    )
