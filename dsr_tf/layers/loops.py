"""Loops and branches in the graphs of TensorFlow."""

from contextlib import AbstractContextManager

import tensorflow as tf

# Private: nothing public tells that the body of a loop or a branch is traced.
_BODIES = ("WhileBodyFuncGraph", "CondBranchFuncGraph")


def is_in_loop() -> bool:
    """Tells whether what is traced runs within a loop or a branch."""
    return _is_one_of(tf.compat.v1.get_default_graph(), _BODIES)


def around_loops() -> AbstractContextManager[tf.Graph]:
    """Adds operations to the function around the loops that are traced."""
    graph = tf.compat.v1.get_default_graph()
    while _is_one_of(graph, _BODIES):
        graph = graph.outer_graph
    return graph.as_default()


def _is_one_of(graph: tf.Graph, names: tuple[str, ...]) -> bool:
    return type(graph).__name__ in names
