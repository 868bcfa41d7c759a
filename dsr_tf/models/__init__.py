from dsr_tf.models.lenet import lenet_300_100
from dsr_tf.models.mlp import mlp
from dsr_tf.models.resnet50 import resnet50
from dsr_tf.models.wide_resnet import wide_resnet

__all__ = ["lenet_300_100", "mlp", "resnet50", "wide_resnet"]
