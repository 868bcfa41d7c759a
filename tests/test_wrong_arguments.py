"""Every public callable refuses what cannot be right, in one form of words.

A row says of each argument a value that works, and of what kind it is. All of
`VALUES` that are not of that kind are tried in its place.
"""

import inspect
import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import dsr_tf
from dsr_tf import analysis
from dsr_tf import callbacks
from dsr_tf import convert
from dsr_tf import data
from dsr_tf import distribute
from dsr_tf import exporting
from dsr_tf import layers
from dsr_tf import methods
from dsr_tf import models
from dsr_tf import schedules
from dsr_tf import training
from dsr_tf.methods import grow
from dsr_tf.methods import prune
from dsr_tf.methods.allocate import InProportionToScores
from dsr_tf.methods.deep_rewiring import SignFlipped
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.scores import MOMENTUM
from dsr_tf.methods.scores import Scores
from dsr_tf.methods.shrinking import ShrinkAndReplace

ROOMS = (
    dsr_tf, analysis, callbacks, convert, data, distribute, exporting, layers,
    methods, models, schedules, training,
)  # fmt: skip
# Named by `docs/own_method.md`, and in no `__all__`.
DOCUMENTED = (
    prune.AdaptiveThreshold, prune.SmallestFraction, prune.SmallestShare,
    ToSparsity, ShrinkAndReplace, SignFlipped, Scores, InProportionToScores,
    grow.AtRandom, grow.ByScore,
)  # fmt: skip
EXEMPT = {
    # The library makes these.
    "Context", "DeadUnits", "LayerSummary", "ModelSummary", "Moment", "Moves",
    "SparseTensor", "Totals",
    # The user makes these, and they are looked at where they are used.
    "Growth", "ImageSet", "Prune", "Pruned", "Record",
    # The library calls these, and a `Prune` of the user's `as_schedule`.
    "as_schedule", "checked_end", "checked_until", "has_ended", "identity",
    "is_whole",
    # A schedule, and no class of them.
    "DEFAULT_PERIOD",
}  # fmt: skip

VALUES = {
    "None": None,
    "-1": -1,
    "0": 0,
    "3": 3,
    "0.5": 0.5,
    "1.0": 1.0,
    "nan": math.nan,
    "inf": math.inf,
    "True": True,
    "'x'": "x",
    "[]": [],
    "{}": {},
    "(3,'x')": (3, "x"),
    "2**70": 2**70,
    "function": lambda *_: None,
    "b'x'": b"x",
    "array": np.zeros(2),
    "optimizer": keras.optimizers.SGD(),
    "object": object(),
}
# The values that are of a kind, and so are not tried. `?`: nor is None.
KINDS = {
    "count": "0 3 2**70",
    "positive count": "3 2**70",
    "6n + 4": "2**70",
    "seed": "0 3",
    "number": "0 3 0.5 1.0 2**70",
    "positive number": "3 0.5 1.0 2**70",
    "fraction": "0 0.5",
    "switch": "0 True",
    "counts": "3 2**70 function",
    "numbers": "0 3 0.5 1.0 2**70 function",
    "fractions": "0 0.5 function",
    "amount": "3 2**70 0.5 function",
    "end": "0 3 0.5 1.0 2**70",
    "until": "3 0.5 1.0 2**70",
    "text": "'x'",
    "path": "'x'",
    "function": "function",
    "pattern": "function",
    "patterns": "function []",
    "list": "[]",
    "optimizer": "optimizer",
    # A choice, or an object of a class: no value is right.
    "other": "",
    # Keras' own argument, or one that it checks: nothing is tried.
    "keras": " ".join(VALUES),
    "anything": " ".join(VALUES),
}


def public():
    """Returns all public callables by name."""
    found = {}
    for room in ROOMS:
        names = getattr(room, "__all__", None) or [
            name
            for name, x in vars(room).items()
            if getattr(x, "__module__", None) == room.__name__
            and not name.startswith("_")
        ]
        found |= {name: getattr(room, name) for name in names}
    found |= {kind.__name__: kind for kind in DOCUMENTED}
    return {
        name: x
        for name, x in found.items()
        if callable(x) and name not in EXEMPT and not _is_error(x)
    }


def _is_error(x):
    return isinstance(x, type) and issubclass(x, Exception)


PUBLIC = public()


def network(kind=keras.layers.Dense, **arguments):
    return keras.Sequential(
        [
            keras.Input((4,)),
            kind(8, name="hidden", **arguments),
            kind(3, name="logits", **arguments),
        ]
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Returns a value that works, and its kind, of each argument."""
    folder = tmp_path_factory.mktemp("files")
    dense, sparse = network(), network(layers.SparseDense, sparsity=0.5)
    dense.save_weights(folder / "dense.weights.h5")
    sparse.compile("sgd", "mse")
    images = data.load_images("digits")
    strategy = tf.distribute.get_strategy()
    batches = tf.data.Dataset.from_tensors((np.ones((2, 4)), np.ones((2, 3))))
    threshold = {
        "num_pruned": (5, "positive count"),
        "tolerance": (0.1, "fraction"),
        "initial_threshold": (0.1, "positive number"),
    }
    dsr = threshold | {
        "num_pruned": (5, "amount?"),
        "initial_threshold": (0.1, "positive number?"),
        "regrow_stddev": (0.0, "number"),
        "growth": ("random", "other"),
        "min_inputs": (0, "count"),
    }
    deepr = {
        "temperature": (1e-3, "numbers"),
        "noise_rate": (0.01, "number"),
    }
    gradual = {
        "sparsity": (0.5, "fraction"),
        "num_prunes": (2, "positive count?"),
        "schedule": ("cubic", "other"),
        "across_tensors": (True, "switch"),
        "initial_sparsity": (0.0, "fraction"),
        "power": (3.0, "positive number"),
        "until": (0.5, "until"),
    }
    fraction = {"drop_fraction": (0.1, "fractions")}
    optional = {"drop_fraction": (0.1, "fractions?")}
    chts = fraction | {
        "sharpness": (1.0, "numbers"),
        "percolate": (False, "switch"),
    }
    period, stop = {"period": (5, "counts")}, {"stop_epoch": (None, "count?")}
    begin = {"begin_step": (0, "count")}
    seed, end = {"seed": (0, "seed")}, {"stop": (None, "end?")}
    growth = {"growth": ("random", "other")}
    path = {
        "sparsity": (0.5, "fraction"),
        "initial_sparsity": (0.3, "fraction"),
        "until": (0.5, "until"),
    }
    soft = {
        "gradient_weight": (0.5, "number"),
        "soft": (False, "switch"),
        "sparsity": (None, "keras"),
    }
    chosen = {
        "include": (None, "pattern?"),
        "exclude": (None, "patterns?"),
        "seed": (0, "count"),
    }
    model = {
        "num_classes": (3, "positive count"),
        "width": (0.05, "positive number"),
        "sparsity": (0.5, "fraction?"),
        "hashed": (False, "switch"),
        "l1": (0.0, "number"),
        "l2": (0.0, "number"),
        "seed": (0, "count"),
        "distribution": ("uniform", "other"),
        "storage": ("masks", "other"),
    }
    convolutional = model | {
        "input_shape": ((32, None, 3), "other"),
        "granularity": ("weight", "other"),
        "group_lasso": (0.0, "number"),
    }
    reallocation = {"reallocation": (None, "other?")}
    ramp = {
        "start": (0.5, "number"),
        "end": (0.1, "number"),
        "until": (0.5, "until"),
    }
    masked = {
        "sparsity": (0.5, "fraction"),
        "granularity": ("weight", "other"),
        "seed": (None, "count?"),
    }
    blocks = masked | {"granularity": ((8, 8), "other")}
    einsum = {
        "equation": ("ab,bc->ac", "keras"),
        "output_shape": (3, "keras"),
    }
    hashed = {"sparsity": (0.5, "fraction"), "seed": (None, "seed?")}
    units = {"units": (3, "keras")}
    conv = {"filters": (3, "keras"), "kernel_size": (1, "keras")}
    pair = {"source": (sparse, "other"), "target": (sparse, "other")}
    return {
        "AdaptiveThreshold": threshold,
        "Balanced": {
            "x": (np.ones((2, 4)), "anything"),
            "y": (np.ones((2, 3)), "anything"),
            "loss": ("mse", "function"),
        },
        "AtRandom": {"stddev": (0.0, "number")},
        "BlockConv1D": conv | blocks,
        "BlockConv2D": conv | blocks,
        "BlockConv3D": conv | blocks,
        "BlockDense": units | blocks,
        "BlockEinsumDense": einsum | blocks,
        "BlockKernel": blocks,
        "ByEpoch": {"entries": (((0, 0.5),), "other")},
        "ByShare": {"entries": (((0, 0.5),), "other")},
        "ByScore": {"scores": (MOMENTUM, "other")},
        "Checkpoint": reallocation
        | {
            "directory": (folder / "checkpoints", "path"),
            "every_steps": (None, "positive count?"),
            "keep": (3, "positive count"),
            "logger": (None, "other?"),
            "strategy": (None, "other?"),
        },
        "Constant": {"value": (3, "anything")},
        "Cosine": ramp,
        "Cubic": ramp,
        "DSR": dsr | period | stop | seed | end,
        "DeepR": deepr | stop | seed,
        "Exponential": ramp
        | {"start": (0.5, "positive number"), "end": (0.1, "positive number")},
        "FromEpoch": {"epoch": (3, "count")},
        "GradualPruning": gradual | period | stop | begin,
        "GroupLasso": {
            "group": (0.1, "number"),
            "l1": (0.0, "keras"),
            "l2": (0.0, "keras"),
        },
        "HashedConv2D": conv | hashed,
        "HashedDense": units | hashed,
        "HashedKernel": hashed,
        "Images": {name: (x, "other") for name, x in vars(images).items()}
        | {
            "name": ("own", "text"),
            "num_classes": (10, "positive count"),
            "augment": (False, "switch"),
        },
        "GraNet": path | fraction | period | end | seed,
        "ITOP": fraction | growth | period | end | seed,
        "Linear": ramp,
        "MEST": soft | period | end | seed,
        "MaskedKernel": masked,
        "Method": {
            "prune": (prune.SmallestFraction(0.1), "function"),
            "allocate": (None, "function?"),
            "grow": (None, "function?"),
        },
        "Ramp": ramp,
        "Reallocate": {"method": (methods.dsr(5), "other")}
        | period
        | stop
        | seed
        | end
        | begin,
        "RigL": fraction | period | end | seed,
        "Reallocator": {
            "model_or_layers": (sparse, "other"),
            "optimizer": (sparse.optimizer, "optimizer"),
            "method": (methods.dsr(5), "other"),
            **period,
            "stop": (None, "end?"),
            **seed,
            **begin,
            "steps_per_epoch": (None, "positive count?"),
            "num_steps": (None, "positive count?"),
            "growth_scores": (None, "function?"),
        },
        "SNFS": fraction | period | end | seed,
        "Times": {
            "times": (100, "positive count"),
            "least": (10, "positive count"),
        },
        "CHTs": chts | optional | period | stop | seed | end,
        "SET": optional | period | stop | seed | end,
        "SignFlipped": deepr,
        "Scores": {"decay": (0.9, "fraction")},
        "InProportionToScores": {"scores": (MOMENTUM, "other")},
        "ShrinkAndReplace": fraction
        | {
            "sparsity": (0.5, "fractions"),
            "gradient_weight": (0.0, "number"),
        },
        "SmallestFraction": fraction,
        "SmallestShare": fraction | {"gradient_weight": (0.0, "number")},
        "SparseKernel": {},
        "SparseConv1D": conv | masked,
        "SparseConv2D": conv | masked,
        "SparseConv3D": conv | masked,
        "SparseDense": units | masked,
        "SparseEinsumDense": einsum | masked,
        "SparsityLogger": reallocation
        | {
            "log_dir": (folder / "logs", "path"),
            "survival_after": ((1, 10), "other"),
        },
        "ToSparsity": gradual,
        "budgeted_layers": {"model": (sparse, "other")},
        "choose_strategy": {
            "name": ("none", "other"),
            "report": (None, "function?"),
        },
        "copy_masks": pair,
        "copy_weights": pair,
        "dead_units": {"kernel": (sparse.layers[0], "other")},
        "deepr": deepr,
        "densify": {
            "model": (sparse, "other"),
            "in_place": (False, "switch"),
        },
        "dsr": dsr,
        "eval_batches": {
            "images": (images, "other"),
            "batch_size": (100, "positive count"),
        },
        "export": {
            "model": (sparse, "other"),
            "path": (folder / "exported", "path"),
            "format": ("npz", "other"),
            "quantize": (None, "other?"),
            "representative": (None, "other?"),
            "overwrite": (False, "switch"),
            "verbose": (False, "switch"),
            "encoding": ("auto", "other"),
            "inputs": (None, "other?"),
            "compute": ("dense", "other"),
        },
        "gradual_pruning": gradual,
        "granet": path | fraction,
        "itop": fraction | growth,
        "mest": soft,
        "rigl": fraction,
        "sparse_momentum": fraction,
        "hash_kernels": chosen
        | {"model": (dense, "other"), "sparsity": (0.5, "fraction")},
        "is_chief": {"strategy": (strategy, "other")},
        "lenet_300_100": model
        | {
            "input_shape": ((4, 4, 1), "other"),
            "granularity": ("weight", "other"),
        },
        "mlp": model
        | {
            "input_shape": ((4, 4, 1), "other"),
            "granularity": ("weight", "other"),
            "hidden": ((4, 4), "list"),
            "name": ("mlp", "keras"),
        },
        "WarmUp": {
            "learning_rate": (0.1, "keras"),
            "warmup_steps": (10, "positive count"),
        },
        "load_dense_weights": {
            "model": (network(layers.SparseDense, sparsity=0.5), "other"),
            "path": (folder / "dense.weights.h5", "path"),
        },
        "load_images": {
            "name": ("digits", "text"),
            "data_dir": (None, "path?"),
            "image_size": (None, "count?"),
            "train_examples": (None, "count?"),
            "train_split": (None, "text?"),
            "test_split": (None, "text?"),
            "augment": (None, "switch?"),
            "standardize": (True, "switch"),
        },
        "multi_worker_strategy": {
            "cluster_resolver": (None, "other?"),
            "communication_options": (None, "other?"),
            "timeout_seconds": (600.0, "positive number"),
            "report": (None, "function?"),
        },
        "parse": {"text": ("0.5", "text"), "number": (float, "function")},
        "resnet50": convolutional,
        "resumable_fit": {
            "model": (sparse, "other"),
            "batches": (lambda epoch, step: batches, "function"),
            "checkpoint": (callbacks.Checkpoint(folder / "run"), "other"),
            "epochs": (1, "positive count"),
            "steps_per_epoch": (1, "positive count"),
            "callbacks": ((), "list"),
            "validation_data": (None, "keras"),
            "verbose": (0, "keras"),
        },
        "chts": chts,
        "set_method": fraction,
        "share_batches": {
            "strategy": (strategy, "other"),
            "make_batches": (lambda num_shards, index: batches, "function"),
        },
        "sparse_layers": {"model": (sparse, "other")},
        "sparsify": chosen
        | {
            "model": (dense, "other"),
            "sparsity": (0.5, "fraction"),
            "distribution": ("uniform", "other"),
            "granularity": ("weight", "other"),
            "storage": ("masks", "other"),
            "keep": ("random", "other"),
            "in_place": (False, "switch"),
        },
        "summary": {
            "model": (sparse, "other"),
            "input_shape": (None, "other?"),
            "print_fn": (None, "function?"),
        },
        "train_batches": {
            "images": (images, "other"),
            "batch_size": (100, "positive count"),
            **seed,
            "first_epoch": (0, "count"),
            "first_step": (0, "count"),
            "num_shards": (1, "positive count"),
            "shard_index": (0, "count"),
        },
        "wide_resnet": convolutional
        | {"depth": (10, "6n + 4"), "sparse_logits": (False, "switch")},
    }


def wrong(kind):
    """Returns the values that are not of a kind, by name."""
    right = KINDS[kind.removesuffix("?")].split()
    right += ["None"] if kind.endswith("?") else []
    return {name: x for name, x in VALUES.items() if name not in right}


def problem(call, argument, given):
    """Returns what is wrong with how a call refuses an argument, if it is."""
    try:
        call(**given)
    except ValueError as error:
        text = str(error)
        if re.search(rf"`{argument}\b", text) and "Received:" in text:
            return None
        return f"says {text!r}"
    except Exception as error:
        return f"raises {error!r}"
    return "is taken"


@pytest.mark.parametrize("name", PUBLIC)
def test_wrong_arguments_are_refused_by_name(rows, name):
    assert name in rows, f"a row is to say what the arguments of {name} are"
    row, call = rows[name], PUBLIC[name]
    # Of a class, Python 3.11.2 takes that of `__new__` instead.
    made = call.__init__ if inspect.isclass(call) else call
    own = {
        key
        for key, parameter in inspect.signature(made).parameters.items()
        if parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    } - {"self"}
    assert set(row) == own
    works = {argument: value for argument, (value, _) in row.items()}
    found = [
        f"{name}({argument}={label}) {text}"
        for argument, (_, kind) in row.items()
        for label, value in wrong(kind).items()
        if (text := problem(call, argument, works | {argument: value}))
    ]
    assert not found, "\n".join(found)
    # There is no cluster here.
    if name != "multi_worker_strategy":
        call(**works)


def test_sparsity_comes_with_a_distribution_without_a_mapping():
    net = network()
    shares = {"hidden": 0.5}
    assert dsr_tf.sparsify(net, distribution=shares)
    for wrong_shares in ({3: 0.5}, {"hidden": "x"}, {"hidden": None}, {}):
        given = {"model": net, "distribution": wrong_shares}
        assert not problem(dsr_tf.sparsify, "distribution", given)


@pytest.mark.parametrize(
    "representative", [3, "x", [], {}, [3], ["x"], [np.ones((2, 5))], [None]]
)
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_representative_inputs_are_batches(representative, quantize, tmp_path):
    given = {
        "model": network(layers.SparseDense, sparsity=0.5),
        "path": tmp_path / "model",
        "format": "tflite",
        "quantize": quantize,
        "representative": representative,
    }
    assert not problem(dsr_tf.export, "representative", given)
    assert not list(tmp_path.iterdir())


def test_foreign_files_are_refused(tmp_path):
    net = network(layers.SparseDense, sparsity=0.5)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    other.save_weights(tmp_path / "other.weights.h5")
    for name in ("own.keras", "own.weights.h5"):
        (tmp_path / name).write_text("not a model")
    for name in ("own.keras", "own.weights.h5", "other.weights.h5"):
        given = {"model": net, "path": tmp_path / name}
        assert not problem(dsr_tf.load_dense_weights, "path", given)
    file = tmp_path / "own.keras"
    logger, checkpoint = callbacks.SparsityLogger, callbacks.Checkpoint
    assert not problem(logger, "log_dir", {"log_dir": file})
    assert not problem(checkpoint, "directory", {"directory": file})


@pytest.mark.parametrize(
    "shape", [(), (4,), (4, 4), (4, 4, 0), (4, 4, None), (4, 4, True), "444"]
)
def test_shapes_of_images_have_three_axes(shape):
    for build in (models.resnet50, models.wide_resnet):
        assert not problem(build, "input_shape", {"input_shape": shape})


def test_every_row_is_of_something_public(rows):
    assert set(rows) == set(PUBLIC)
    everything = set().union(*(dir(room) for room in ROOMS))
    assert everything >= EXEMPT


@pytest.mark.parametrize("path", ["gs://bucket/run", Path("s3://bucket/run")])
def test_remote_paths_are_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    for call in (
        lambda: dsr_tf.callbacks.Checkpoint(path),
        lambda: dsr_tf.callbacks.SparsityLogger(path),
        lambda: dsr_tf.export(net, path),
    ):
        with pytest.raises(ValueError, match="must be a path of this machine"):
            call()
    assert not list(tmp_path.iterdir())
