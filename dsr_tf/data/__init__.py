from dsr_tf.data.batches import eval_batches
from dsr_tf.data.batches import train_batches
from dsr_tf.data.images import DatasetUnavailableError
from dsr_tf.data.images import Images
from dsr_tf.data.images import load_images

__all__ = [
    "DatasetUnavailableError",
    "Images",
    "load_images",
    "eval_batches",
    "train_batches",
]
