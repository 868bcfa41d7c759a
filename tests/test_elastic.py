"""Variables whose first axis may change its length."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.layers.elastic import ElasticVariable
from dsr_tf.layers.elastic import make_elastic
from dsr_tf.layers.elastic import outside_of_graphs


def elastic(rows=3, **arguments):
    return ones((rows, 2), **arguments)


def ones(shape, **arguments):
    return ElasticVariable("ones", shape, dtype="float32", **arguments)


def values(strategy, variable):
    found = strategy.experimental_local_results(variable.value)
    return [x.numpy() for x in found]


def test_lengths_change():
    variable = elastic()
    for rows in (5, 1, 0, 3):
        variable.assign(np.full((rows, 2), rows))
        assert variable.shape == (rows, 2)
        assert variable.numpy().tolist() == [[rows, rows]] * rows


def test_keras_still_makes_the_variable_that_is_replaced():
    # Fails if Keras calls `_initialize` or `_value` otherwise.
    assert elastic()._value.shape.as_list() == [None, 2]
    plain = keras.Variable(np.ones((3, 2)), dtype="float32")
    old = plain.value
    make_elastic(plain)
    assert plain.value is not old
    assert plain.value.shape.as_list() == [None, 2]


@pytest.mark.parametrize("shape", [(2, 3), (2,), (2, 2, 2)])
def test_other_shapes_are_refused(shape):
    variable = elastic(name="blocks")
    with pytest.raises(ValueError, match=r"shape \(None, 2\) of 'blocks'"):
        variable.assign(np.ones(shape))
    assert variable.shape == (3, 2)


def test_variables_become_elastic_once():
    variable = keras.Variable([[1.0, 2.0]], dtype="float16", trainable=False)
    path = variable.path
    assert make_elastic(variable)
    assert not make_elastic(variable)
    assert isinstance(variable, ElasticVariable)
    assert (variable.dtype, variable.path) == ("float16", path)
    assert not variable.trainable
    assert variable.numpy().tolist() == [[1, 2]]
    variable.assign(np.ones((4, 2)))
    assert variable.shape == (4, 2)


@pytest.mark.parametrize("compiled", [False, True])
def test_traced_functions_take_lengths_over(compiled):
    variable, traces = elastic(), []

    @tf.function(jit_compile=compiled)
    def double():
        traces.append(0)
        variable.assign(2 * variable.value)
        return tf.reduce_sum(variable.value)

    assert double() == 12
    variable.assign(np.ones((5, 2)))
    assert double() == 20
    assert variable.numpy().tolist() == [[2, 2]] * 5
    assert len(traces) == 1


def test_traced_functions_may_change_the_length():
    variable = elastic()

    @tf.function(autograph=False)
    def longer():
        variable.assign(tf.concat([variable.value, variable.value], 0))

    longer()
    longer()
    assert variable.shape == (12, 2)


def test_constants_of_a_traced_length_follow_it():
    variable = elastic()

    @tf.function
    def reset():
        variable.assign(tf.zeros(variable.shape))

    reset()
    variable.assign(np.ones((5, 2)))
    reset()
    assert variable.numpy().tolist() == [[0, 0]] * 5


def test_other_constants_keep_their_length():
    variable = elastic(rows=1)

    @tf.function
    def given():
        variable.assign(tf.constant([[1.0, 2.0], [3.0, 4.0]]))

    given()
    assert variable.numpy().tolist() == [[1, 2], [3, 4]]


NAMES = ["SGD", "Adam", "Adafactor", "Muon", "Lamb", "Lion", "Ftrl"]


@pytest.mark.parametrize("name", NAMES)
def test_optimizers_serve_it(name):
    arguments = {"momentum": 0.9} if name == "SGD" else {}
    variable = ones((3, 2, 2))
    optimizer = getattr(keras.optimizers, name)(0.1, **arguments)
    optimizer.build([variable])
    slots = [v for v in optimizer.variables if tuple(v.shape[:1]) == (3,)]
    assert slots
    for slot in slots:
        make_elastic(slot)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.convert_to_tensor(variable) ** 2)
        optimizer.apply(tape.gradient(loss, [variable]), [variable])

    step()
    for rows in (5, 2):
        for each in (variable, *slots):
            shape = (rows, *each.shape[1:])
            each.assign(np.full(shape, 0.5))
        before = variable.numpy()
        step()
        assert variable.shape == (rows, 2, 2)
        assert (variable.numpy() != before).all()


def test_checkpoints_bring_lengths_back(tmp_path):
    variable = elastic(rows=5)
    path = tf.train.Checkpoint(v=variable).save(tmp_path / "c")
    variable.assign(np.zeros((2, 2)))
    tf.train.Checkpoint(v=variable).restore(path).assert_consumed()
    assert variable.numpy().tolist() == [[1, 1]] * 5
    fresh = elastic(rows=1)
    tf.train.Checkpoint(v=fresh).restore(path).assert_consumed()
    assert fresh.shape == (5, 2)


def test_replicas_take_lengths_over(strategy, tmp_path):
    with strategy.scope():
        variable = elastic()
        other = keras.Variable(np.ones((3, 2)), dtype="float32")
    make_elastic(other)

    @tf.function
    def run():
        return strategy.run(lambda: tf.reduce_sum(variable.value))

    for each in (variable, other):
        each.assign(np.full((5, 2), 2))
        assert each.shape == (5, 2)
        first, second = values(strategy, each)
        assert first.tolist() == second.tolist() == [[2, 2]] * 5
    for rows in (3, 4):
        variable.assign(np.ones((rows, 2)))
        sums = strategy.experimental_local_results(run())
        assert [float(x) for x in sums] == [2 * rows] * 2
    path = tf.train.Checkpoint(v=variable).save(tmp_path / "c")
    variable.assign(np.zeros((1, 2)))
    tf.train.Checkpoint(v=variable).restore(path).assert_consumed()
    assert [x.shape for x in values(strategy, variable)] == [(4, 2)] * 2


def test_what_is_made_in_a_function_has_its_first_value():
    made = []

    def count(shape, dtype):
        return tf.range(shape[0], dtype=dtype)

    @tf.function
    def first():
        if not made:
            made.append(ElasticVariable(count, (3,), dtype="float32"))
            made.append(tuple(made[0].shape))
        return made[0].value

    assert first().numpy().tolist() == [0, 1, 2]
    assert made[1] == (3,)


def test_variables_can_be_made_while_a_function_is_traced():
    made = []

    @tf.function
    def traced():
        if not made:
            made.append(outside_of_graphs(elastic))
            with tf.init_scope():
                made.append(made[0].numpy())
        return made[0].value

    assert traced().shape == (3, 2)
    assert made[1].tolist() == [[1, 1]] * 3
    with pytest.raises(ZeroDivisionError):
        tf.function(lambda: outside_of_graphs(lambda: 1 / 0))()
