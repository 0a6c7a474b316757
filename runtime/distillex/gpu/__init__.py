"""A network on a GPU: which GPUs there are, which provider of ONNX Runtime takes one, and runs of fixed shapes."""
