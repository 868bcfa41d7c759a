"""Callbacks by Keras' habits: configs, bars, logs."""

import json

import keras
import numpy as np
import pytest

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
from dsr_tf.schedules import ByShare
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Times

CALLBACKS = [
    DSR(),
    DSR(5, {0: 10, 3: 20}, 0.2, 0.5, 0.01, 7, 3),
    DSR(0.1, Times(7, 3), growth="drawn", stop=0.5),
    DSR(Cosine(0.3, 0.01, 0.75), 5, min_inputs=1),
    DSR(np.int64(5), np.int32(5), seed=np.uint8(1)),
    SET(),
    SET({0: 0.5, 2: 0.1}, 5, stop=FromEpoch(3)),
    SET(ByShare({0.0: 0.5, 0.5: 0.1}), 5),
    RigL(),
    RigL(0.2, 50, None),
    ITOP(growth="random"),
    SNFS(10, 0.3),
    GraNet(0.9, 10, 0.3),
    MEST(5, soft=True, sparsity=0.6),
    CHTs(5, percolate=True),
    DeepR({0: 1e-5, 25: 1e-8}),
    GradualPruning(0.9),
    GradualPruning(0.9, 20, 100, "exponential", begin_step=5),
]


NAMES = [f"{i}_{type(x).__name__}" for i, x in enumerate(CALLBACKS)]


def facts(moves):
    method = moves.method
    rule, seed = (method.rule, method.grow), moves.seed
    return type(moves), rule, moves.period, moves.stop, seed, moves.begin_step


@pytest.mark.parametrize("moves", CALLBACKS, ids=NAMES)
def test_a_config_makes_the_callback_again(moves):
    config = json.loads(json.dumps(moves.get_config()))
    again = type(moves).from_config(config)
    assert facts(again) == facts(moves)
    assert again.get_config() == moves.get_config()


@pytest.mark.parametrize("moves", CALLBACKS, ids=NAMES)
def test_keras_makes_the_callback_again(moves):
    text = json.dumps(keras.saving.serialize_keras_object(moves))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert facts(again) == facts(moves)


class Own(DSR):
    """A callback of the user's own, which passes on what it does not know."""

    def __init__(self, more=1, **kwargs):
        super().__init__(**kwargs)
        self.more = more


def test_a_class_of_ones_own_has_a_config_too():
    moves = Own(2, num_pruned=0.1, period={0: 5, 1: 10})
    config = json.loads(json.dumps(moves.get_config()))
    again = Own.from_config(config)
    assert facts(again) == facts(moves) and again.more == 2


def test_a_config_holds_no_functions():
    moves = SET(lambda moment: 0.1, 5)
    with pytest.raises(ValueError, match="`drop_fraction` must be a number"):
        moves.get_config()


def test_the_bar_of_keras_shows_what_moves(capsys):
    model = keras.Sequential([keras.Input((4,)), SparseDense(50, 0.8, seed=0)])
    model.compile("sgd", "mse")
    x, y = np.ones((80, 4)), np.ones((80, 50))
    model.fit(x, y, 2, verbose=2, callbacks=[SET(0.3, 10)])
    shown = capsys.readouterr().out
    assert "active_weights: 40" in shown and "weights_moved: " in shown
