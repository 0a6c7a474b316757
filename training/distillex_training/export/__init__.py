"""Export of trained models: ONNX, TensorRT plans, the served model repository."""
