"""Transfer learning: a trained network, made sparse, on a new task.

Cells begin with `# %%`: editors run them one by one, and
`python examples/vision_transfer.py` all of them. Here the old task is to tell
the digits 0 to 4, the new one 5 to 9, from a third of the images. With a
network of `keras.applications` only the first two cells differ.
"""

# %% The data: two tasks
import keras
import numpy as np
import tensorflow as tf

import dsr_tf

keras.utils.set_random_seed(0)
digits = dsr_tf.data.load_images("digits")


def task(images, labels, lowest):
    """Takes five digits from `lowest` on, scaled, with labels from 0."""
    chosen = (labels >= lowest) & (labels < lowest + 5)
    return images[chosen].astype("float32") / 16, labels[chosen] - lowest


old_images, old_labels = task(digits.train_images, digits.train_labels, 0)
new_images, new_labels = task(digits.train_images, digits.train_labels, 5)
test_images, test_labels = task(digits.test_images, digits.test_labels, 5)
new_images, new_labels = new_images[::3], new_labels[::3]

# %% A network that was trained on the old task
pretrained = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation="relu", name="stem"),
        keras.layers.Conv2D(32, 3, activation="relu", name="features"),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu", name="hidden"),
        keras.layers.Dense(5, activation="softmax", name="old_head"),
    ]
)
pretrained.compile("adam", "sparse_categorical_crossentropy")
pretrained.fit(old_images, old_labels, epochs=10, verbose=0)

# %% Its body, with a new head
body = keras.Model(
    pretrained.inputs, pretrained.get_layer("hidden").output, name="body"
)
dense = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        body,
        keras.layers.Dense(5, activation="softmax", name="head"),
    ],
    name="transfer",
)

# %% A tenth of the weights: the largest of those that were trained
# The head has nothing to keep yet. The first convolution stays dense anyway.
sparse = dsr_tf.sparsify(dense, 0.9, exclude="head", keep="magnitude")
dsr_tf.summary(sparse)
budget = sum(layer.num_active for layer in dsr_tf.layers.sparse_layers(sparse))

# %% First the head alone, with the body frozen
sparse.get_layer("body").trainable = False
sparse.compile(
    keras.optimizers.Adam(1e-2),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
sparse.fit(new_images, new_labels, epochs=10, verbose=0)
_, frozen_accuracy = sparse.evaluate(test_images, test_labels, verbose=0)

# %% Then all of it, while weights move to where the new task needs them
sparse.get_layer("body").trainable = True
sparse.compile(
    keras.optimizers.Adam(1e-3),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
moves = dsr_tf.callbacks.DSR(num_pruned=40, period=16, stop_epoch=30)
history = sparse.fit(
    new_images, new_labels, epochs=40, verbose=0, callbacks=[moves]
)
_, accuracy = sparse.evaluate(test_images, test_labels, verbose=0)
print(f"body frozen: {frozen_accuracy:.3f}, all trained: {accuracy:.3f}")
print(f"{moves.state.weights_moved} weights moved, {budget} kept")

# %% A file for those who have TensorFlow alone
dsr_tf.export(sparse, "transferred", overwrite=True)
served = tf.saved_model.load("transferred")
outputs = served.serve(test_images)
assert np.allclose(outputs, sparse.predict(test_images, verbose=0), atol=1e-5)
