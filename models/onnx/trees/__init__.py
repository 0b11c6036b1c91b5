"""Boosted trees of four libraries, read as one kind and written as ONNX."""
