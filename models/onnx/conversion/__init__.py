"""Estimators and their steps made into graphs, by skl2onnx and by converters of our own where it is wrong."""
