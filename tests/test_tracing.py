import tensorflow as tf

from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import in_turn


def test_tensorflow_still_knows_functions_that_stay_calls():
    # Else the graph of a large network would take seconds to optimize.
    function = compiled(lambda x: x + 1).get_concrete_function(1.0)
    assert function.function_def.attr["_noinline"].b


def test_calls_in_turn_wait_for_one_another():
    # Else a graph holds what all of them need in between at the same time.
    @tf.function(autograph=False)
    def squares(x, y):
        return in_turn(tf.square, [x, y])

    graph = squares.get_concrete_function(1.0, tf.constant(2.0)).graph
    first, second = (op for op in graph.get_operations() if op.type == "Square")
    assert second.control_inputs == [first]
    assert [float(x) for x in squares(3.0, tf.constant(2.0))] == [9, 4]
