from dsr_tf.data.batches import eval_batches
from dsr_tf.data.batches import train_batches
from dsr_tf.data.image_set import DatasetUnavailableError
from dsr_tf.data.image_set import ImageSet
from dsr_tf.data.images import Images
from dsr_tf.data.load import load_images

__all__ = [
    "DatasetUnavailableError",
    "ImageSet",
    "Images",
    "load_images",
    "eval_batches",
    "train_batches",
]
