"""A convolutional network for a phone: sparse, in 8 bits, as a TFLite file.

Run it by `python examples/phone.py`; it takes a minute. It writes the files
into the folder `phone`, and prints what they take.
"""

from pathlib import Path

import keras
from keras import layers

import dsr_tf
from dsr_tf.callbacks import DSR

keras.utils.set_random_seed(0)
digits = dsr_tf.data.load_images("digits")
x, y = digits.train_images / 16, digits.train_labels
x_test, y_test = digits.test_images / 16, digits.test_labels

dense = keras.Sequential(
    [
        keras.Input((8, 8, 1), batch_size=1),
        layers.Conv2D(32, 3, activation="relu", name="stem"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(256, "relu"),
        layers.Dense(10, name="logits"),
    ]
)
model = dsr_tf.sparsify(dense, 0.9)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=30, verbose=2, callbacks=[DSR()])
_, accuracy = model.evaluate(x_test, y_test, verbose=0)

folder = Path("phone")
folder.mkdir(exist_ok=True)
files = {
    "float32.tflite": {},
    "float16.tflite": {"quantize": "float16"},
    "int8.tflite": {"quantize": "int8", "representative": x},
}
print(f"{'dense weights':16} {4 * dense.count_params():7,} bytes")
for name, arguments in files.items():
    path = folder / name
    dsr_tf.export(model, path, "tflite", overwrite=True, **arguments)
    print(f"{name:16} {path.stat().st_size:7,} bytes")
print(f"test accuracy {accuracy:.4f}")
