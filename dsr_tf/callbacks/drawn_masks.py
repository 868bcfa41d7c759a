"""Pictures of weights, which TensorBoard makes of numbers alone."""

import keras

from dsr_tf.callbacks import same_fit
from dsr_tf.layers import sparse_layers


def check_pictures(callback: keras.callbacks.Callback) -> None:
    """Refuses a TensorBoard callback that would fail at the first mask.

    It draws all weights of a layer, and TensorFlow draws no bool. Masks are
    bool: what else is as small, TensorFlow cannot send from worker to worker.

    Args:
        callback: One of the callbacks of a `fit` that begins.

    Raises:
        ValueError: If there is one, and the model has masks.
    """
    beside = same_fit.beside(callback, keras.callbacks.TensorBoard)
    draws = any(x.histogram_freq and x.write_images for x in beside)
    if draws and sparse_layers(callback.model):
        raise ValueError(
            "`write_images` must be False in TensorBoard(...) for a model with "
            "sparse layers: TensorFlow draws no pictures of masks, which are "
            "bool. To see where weights are, use `callbacks.SparsityLogger`. "
            "Received: write_images=True"
        )
