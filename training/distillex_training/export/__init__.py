"""Export of trained models: ONNX, TensorRT plans, and the files that are read beside them."""
