"""Scores of links that a graph of inputs and outputs lacks: CH2-L3n."""

import tensorflow as tf

from dsr_tf.methods.tracing import compiled
from dsr_tf.methods.tracing import in_turn


def link_scores(links: tf.Tensor) -> tf.Tensor:
    """Scores the missing links of a graph of inputs and outputs by CH2-L3n.

    A path of three links from input `u` to output `v` goes over an output that
    is linked to `u` and an input that is linked to `v`. These are the local
    community of `u` and `v`. A missing link scores

        sum over z of (1 + di(z)) / (1 + de(z))

    where `z` is each input or output on such a path, `di` the links of `z`
    inside the community, and `de` those that leave it, without that to `u` or
    `v`. So inputs and outputs that are linked to few others count for more.

    For `n` inputs and `m` outputs it takes some `16 * max(n, m)**2` bytes, and
    `2 * n * m * (n + m)` multiplications.

    Args:
        links: Shape `(n, m)`, float32: 1 where input and output are linked,
            otherwise 0.

    Returns:
        Scores of the same shape, float32; 0 where no path is, and for links
        that exist.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107), equation 3.
    """
    from_inputs, from_outputs = in_turn(
        _over_one_side, [links, tf.transpose(links)]
    )
    return (from_inputs + tf.transpose(from_outputs)) * (1 - links)


@compiled
def _over_one_side(links: tf.Tensor) -> tf.Tensor:
    """Sums over those `z` that are on the side of the rows."""
    # Of row u and row z: the columns that both are linked to.
    inside = tf.matmul(links, links, transpose_b=True)
    # The link from z to v does not count.
    outside = tf.reduce_sum(links, axis=1) - inside - 1
    # It is -1 where z is linked to nothing else than u is: then to no such v.
    shares = (1 + inside) / (1 + tf.maximum(outside, 0))
    return tf.matmul(tf.where(inside > 0, shares, 0.0), links)
