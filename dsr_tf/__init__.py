"""Sparse training for Keras 3 under a fixed parameter budget."""

from dsr_tf import callbacks
from dsr_tf import data
from dsr_tf import layers
from dsr_tf import methods
from dsr_tf import models

__all__ = ["callbacks", "data", "layers", "methods", "models"]
__version__ = "0.1.0"
