"""A training loop of your own: a `Reallocator` beside the optimizer.

Run it by `python examples/custom_loop.py`; it takes half a minute.
"""

import keras
import tensorflow as tf

import dsr_tf
from dsr_tf import methods
from dsr_tf.schedules import Cosine

EPOCHS, STEPS = 20, 15

keras.utils.set_random_seed(0)
digits = dsr_tf.data.load_images("digits")
dense = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(300, "relu"),
        keras.layers.Dense(100, "relu"),
        keras.layers.Dense(10),
    ]
)
model = dsr_tf.sparsify(dense, 0.95, distribution="erk")
optimizer = keras.optimizers.Adam(3e-3)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# A share of all weights moves; it falls until three quarters of the training.
reallocator = dsr_tf.Reallocator(
    model,
    optimizer,
    methods.dsr(num_pruned=Cosine(0.3, 0.0, 0.75)),
    stop=0.75,
    num_steps=EPOCHS * STEPS,
)
budget = reallocator.num_active


@tf.function
def train_step(x, y):
    """Trains on a batch, and returns its loss."""
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    weights = model.trainable_weights
    optimizer.apply(tape.gradient(loss, weights), weights)
    return loss


for step, (x, y) in enumerate(digits.train_batches(96, 0).take(EPOCHS * STEPS)):
    loss = train_step(x, y)
    if reallocator.step():
        moved = reallocator.counters.weights_moved
        print(f"step {step + 1}  loss {loss:.3f}  moved {moved:,} so far")

accuracy = keras.metrics.SparseCategoricalAccuracy()
for x, y in digits.eval_batches():
    accuracy.update_state(y, model(x, training=False))
assert reallocator.num_active == budget
print(f"test accuracy {accuracy.result():.4f} with {budget:,} weights")
