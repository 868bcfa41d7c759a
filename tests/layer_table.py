"""What `dsr_tf.sparsify` makes of the layers of Keras.

`python -m tests.layer_table` prints the table of `docs/converting.md`.
"""

import keras
from keras import layers

from dsr_tf.graph.kinds import SPARSE_OF
from dsr_tf.graph.kinds import is_kernel
from dsr_tf.graph.kinds import possible_kernels
from dsr_tf.graph.kinds import usual_kernels
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.tree import own_weights

SERIES, IMAGE = (None, 6, 4), (None, 6, 6, 4)
VIDEO = (None, 5, 6, 6, 4)
# A layer of each class that has kernels, and the shape of its inputs.
LAYERS = (
    (lambda: layers.Dense(3), SERIES),
    (lambda: layers.EinsumDense("abc,cd->abd", (None, 3)), SERIES),
    (lambda: layers.Conv1D(3, 2), SERIES),
    (lambda: layers.Conv2D(3, 2), IMAGE),
    (lambda: layers.Conv3D(3, 2), VIDEO),
    (lambda: layers.Conv1DTranspose(3, 2), SERIES),
    (lambda: layers.Conv2DTranspose(3, 2), IMAGE),
    (lambda: layers.Conv3DTranspose(3, 2), VIDEO),
    (lambda: layers.SeparableConv1D(3, 2), SERIES),
    (lambda: layers.SeparableConv2D(3, 2), IMAGE),
    (lambda: layers.DepthwiseConv1D(2), SERIES),
    (lambda: layers.DepthwiseConv2D(2), IMAGE),
    (lambda: layers.LSTM(3), SERIES),
    (lambda: layers.GRU(3), SERIES),
    (lambda: layers.SimpleRNN(3), SERIES),
    (lambda: layers.ConvLSTM1D(3, 2), (None, 5, 6, 4)),
    (lambda: layers.ConvLSTM2D(3, 2), VIDEO),
    (lambda: layers.ConvLSTM3D(3, 2), (None, *VIDEO)),
    (lambda: layers.MultiHeadAttention(2, 3), SERIES),
    (lambda: layers.GroupQueryAttention(3, 4, 2), SERIES),
    (lambda: layers.Embedding(9, 3), (None, 6)),
    (lambda: layers.TimeDistributed(layers.Dense(3)), SERIES),
    (lambda: layers.Bidirectional(layers.GRU(3)), SERIES),
    (lambda: layers.SpectralNormalization(layers.Dense(3)), SERIES),
)


def built(make, shape):
    layer = make()
    several = "Attention" in type(layer).__name__ or "Query" in repr(layer)
    layer.build(shape, shape) if several else layer.build(shape)
    return layer


def becomes(layer):
    """Says what of a built layer becomes sparse."""
    if type(layer) in SPARSE_OF:
        return f"`{SPARSE_OF[type(layer)].__name__}`"
    every = all_layers(layer)
    usual = [w for x in every for w in usual_kernels(x)]
    asked = [w for x in every for w in possible_kernels(x)]
    kernels = [w for x in every for w in own_weights(x) if is_kernel(w)]
    if not asked:
        return "unchanged"
    if not usual:
        return f"sparse if `include` names it: {_names(asked)}"
    dense = {id(w) for w in usual}
    rest = [w for w in kernels if id(w) not in dense]
    more = f"; {_names(rest)} stays dense" if rest else ""
    return f"sparse: {_names(usual)}{more}"


def _public(kind):
    """Returns the name of a class in `keras.layers`."""
    return next(x for x in dir(layers) if getattr(layers, x) is kind)


def _names(weights):
    return ", ".join(dict.fromkeys(f"`{weight.name}`" for weight in weights))


def table():
    """Returns the table, as lines of Markdown."""
    found: dict[str, list[str]] = {}
    for make, shape in LAYERS:
        layer = built(make, shape)
        found.setdefault(becomes(layer), []).append(_public(type(layer)))
    rows = [
        f"| {', '.join(f'`{name}`' for name in names)} | {text} |"
        for text, names in found.items()
    ]
    return ["| layer | becomes |", "|---|---|", *rows]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    print("\n".join(table()))
