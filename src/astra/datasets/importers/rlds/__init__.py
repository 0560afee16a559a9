"""RLDS: episodes of TensorFlow Datasets in TFRecord files, read without TensorFlow."""
