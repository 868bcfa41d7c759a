"""Numbers of NumPy mean what Python's numbers of their value mean."""

import json

import keras
import numpy as np
import pytest

import dsr_tf
from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import RigL
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.allocate import AtLeast
from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.scores import Scores
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Exponential
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Times
from dsr_tf.training import WarmUp

FLOATS = [np.float16, np.float32, np.float64]
# What makes a callback of a number `f` in [0, 1) and a small count `n`.
CALLBACKS = {
    "dsr_share": lambda f, n: DSR(f, n, seed=n),
    "dsr_count": lambda f, n: DSR(n, n, f, f, f, n, min_inputs=n),
    "dsr_stop": lambda f, n: DSR(stop=f),
    "dsr_by_epoch": lambda f, n: DSR({0: f, 3: f}, {0: n, 3: n}),
    "set": lambda f, n: SET(f, n, stop=f),
    "set_by_share": lambda f, n: SET(ByShare({0: f, 0.5: f}), Times(n, n)),
    "rigl": lambda f, n: RigL(f, n),
    "rigl_stop": lambda f, n: RigL(f, n, stop=f),
    "rigl_step": lambda f, n: RigL(f, n, stop=n),
    "rigl_epoch": lambda f, n: RigL(f, n, stop=FromEpoch(n)),
    "rigl_ramp": lambda f, n: RigL(Cosine(f, f, f), Constant(n)),
    "itop": lambda f, n: ITOP(n, f, stop=f, seed=n),
    "snfs": lambda f, n: SNFS(n, Exponential(f, f, n)),
    "granet": lambda f, n: GraNet(0.99, n, f, f, f, f),
    "granet_sparsity": lambda f, n: GraNet(f, initial_sparsity=f, until=n),
    "mest": lambda f, n: MEST(n, f, stop=n),
    "mest_soft": lambda f, n: MEST(n, soft=True, sparsity=f),
    "chts": lambda f, n: CHTs(n, f, f, stop=f),
    "deepr": lambda f, n: DeepR(f, f, n),
    "compressed": lambda f, n: GradualPruning(
        f, n, n, initial_sparsity=f, power=f, begin_step=n
    ),
    "compressed_until": lambda f, n: GradualPruning(f, until=f),
}


def facts(moves):
    """Returns what a callback computes with, in words that show types."""
    method, end = moves.method, str(moves.stop)
    rule = method.rule
    numbers = [
        {
            name: repr(x)
            for name, x in rule.numbers(rule.initial_state(), moment).items()
        }
        for moment in (Moment(0, 0, 100), Moment(37, 3, 100))
    ]
    kept = ("tolerance", "gradient_weight", "power", "until")
    own = [repr(getattr(rule, x, None)) for x in kept]
    others = repr(moves.period), end, moves.seed, moves.begin_step
    return numbers, own, repr(method.grow), others


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_take_numbers_of_numpy(name, kind):
    make = CALLBACKS[name]
    value = kind(0.3)
    found = make(value, np.uint8(7))
    expected = make(float(value), 7)
    assert facts(found) == facts(expected)
    config = found.get_config()
    assert config == expected.get_config()
    again = type(found).from_config(json.loads(json.dumps(config)))
    assert facts(again) == facts(expected)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_refuse_arrays(name):
    with pytest.raises(ValueError, match="Received: "):
        CALLBACKS[name](np.array(0.3), 7)
    with pytest.raises(ValueError, match="Received: "):
        CALLBACKS[name](np.array(0.3), np.array(7))


@pytest.mark.parametrize("value", [True, np.True_, 1, np.int32(1), "0.3"])
def test_fractions_are_numbers_below_1(value):
    for kind in (RigL, SET):
        with pytest.raises(ValueError, match="`drop_fraction` must be a frac"):
            kind(value)


def test_an_integer_0_is_a_fraction():
    for value in (0, np.int64(0), 0.0):
        numbers = RigL(value).method.rule.numbers({}, Moment(5, 0, 100))
        assert repr(numbers) == "{'drop_fraction': 0.0}"


def test_a_fit_is_that_of_the_python_number():
    """A share of 32 bits was taken as one that does not fall."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 20)), rng.normal(size=(80, 3))

    def moved(share):
        model = network(0.9)
        moves = RigL(share, 2)
        model.fit(x, y, 4, verbose=0, callbacks=[moves])
        return moves.state.weights_moved

    assert moved(np.float32(0.25)) == moved(0.25) < moved(Constant(0.25))


def network(sparsity):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((20,)), SparseDense(30, sparsity), SparseDense(3, 0)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse", jit_compile=False)
    return model


@pytest.mark.parametrize("kind", FLOATS)
def test_schedules_hold_numbers_of_python(kind):
    value = kind(0.3)
    number = float(value)
    for make in (
        Constant,
        lambda x: Cosine(x, 0, x),
        lambda x: Exponential(x, x, x),
        lambda x: ByShare({0: x, x: x}),
        lambda x: ByEpoch({0: x}),
    ):
        assert repr(make(value)) == repr(make(number))
        assert str(make(value)) == str(make(number))
    count = np.uint8(200)
    for make in (lambda n: Times(n, n), lambda n: Cosine(n, n, n), FromEpoch):
        assert repr(make(count)) == repr(make(200))


def test_counts_do_not_overflow():
    # Four times 200 does not fit into 8 bits.
    rule = methods.dsr(np.uint8(200), initial_threshold=0.1).rule
    assert repr(rule.num_pruned * 4) == "800"
    assert repr(AtLeast(in_proportion_to_survivors, np.uint8(200)).inputs) == (
        "200"
    )
    assert repr(Scores(np.float32(0.5))) == repr(Scores(0.5))


def test_sparsities_are_not_computed_in_32_bits():
    sparsity, size = np.float32(0.9), 2**30
    assert num_kept(size, sparsity) == num_kept(size, float(sparsity))
    dense = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30)])
    for convert in (
        lambda s: dsr_tf.sparsify(dense, s),
        lambda s: dsr_tf.sparsify(dense, None, {"*": s}),
        lambda s: dsr_tf.hash_kernels(dense, s),
    ):
        found, expected = convert(sparsity), convert(float(sparsity))
        assert repr(found.get_config()) == repr(expected.get_config())
    with pytest.raises(ValueError, match="`sparsity` must be a fraction in"):
        dsr_tf.sparsify(dense, np.array(0.9))


def test_models_of_both_kinds_of_numbers_are_alike():
    for sparsity in (np.float32(0.9), float(np.float32(0.9))):
        model = dsr_tf.models.mlp((8,), 3, 1, sparsity, hidden=(20,))
        counts = [x.num_active for x in sparse_layers(model)]
        assert counts == [16, 6]


def test_a_rate_that_warms_up_is_a_number_of_python():
    config = WarmUp(np.float32(0.1), np.uint8(5)).get_config()
    assert json.loads(json.dumps(config)) == {
        "learning_rate": float(np.float32(0.1)),
        "warmup_steps": 5,
    }
