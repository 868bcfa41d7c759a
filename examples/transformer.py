"""A transformer that reads an image row by row, with a tenth of its weights.

Weights move to where the gradient is largest (RigL), and their number stays
what it is. Run it by `python examples/transformer.py`; it takes a minute.
"""

import keras
from keras import layers

import dsr_tf
from dsr_tf.callbacks import RigL

keras.utils.set_random_seed(0)
digits = dsr_tf.data.load_images("digits")
x, y = digits.train_images / 16, digits.train_labels
x_test, y_test = digits.test_images / 16, digits.test_labels


def block(x):
    """Adds attention and two dense layers, each with a shortcut."""
    normal = layers.LayerNormalization()(x)
    x += layers.MultiHeadAttention(4, 16)(normal, normal)
    normal = layers.LayerNormalization()(x)
    return x + layers.Dense(64)(layers.Dense(256, "gelu")(normal))


inputs = keras.Input((8, 8, 1))
rows = layers.Reshape((8, 8))(inputs)
outputs = layers.Conv1D(64, 3, padding="same", name="rows")(rows)
for _ in range(2):
    outputs = block(outputs)
outputs = layers.GlobalAveragePooling1D()(outputs)
outputs = layers.Dense(10, name="logits")(outputs)

dense = keras.Model(inputs, outputs)
model = dsr_tf.sparsify(dense, 0.9, exclude=["rows", "logits"])
dsr_tf.summary(model)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
moves = RigL()
model.fit(x, y, batch_size=32, epochs=30, verbose=2, callbacks=[moves])
_, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.4f}, moved {moves.state.weights_moved:,}")
