#!/bin/sh
# Run bench_gpu.py on a bare GPU machine, which has PyTorch for CUDA and no network.
#
#     sh benchmarks/bench_gpu.sh WHEELS [options of bench_gpu.py]
#
# WHEELS holds what `pip download` fetched beforehand on another machine of the same Python:
#
#     python benchmarks/bench_gpu.py --export-only          # build/gpu: the networks, made without a GPU
#     pip wheel --no-deps -w WHEELS . ./client              # this project, with its C++ module
#     pip download -d WHEELS 'onnxruntime-gpu>=1.22,<1.27' 'nvidia-pytriton>=0.5.12,<1' 'numpy<2' \
#       typer rich safetensors transformers accelerate pytorch-crf pyyaml onnx onnxscript   # CUDA 13: onnxruntime-gpu>=1.27
#
# PyTorch's own CUDA libraries serve ONNX Runtime too: those of the same release (12 or 13). onnxruntime-gpu lies where
# onnxruntime would, so that the project is installed without its dependencies. Results: build/gpu/results.json.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
wheels=$1
shift
python=${PYTHON:-python3}
"$python" -m venv --system-site-packages "$root/build/gpu/venv"
pip="$root/build/gpu/venv/bin/pip --disable-pip-version-check install --quiet --no-index --find-links $wheels"
$pip 'numpy<2' onnxruntime-gpu nvidia-pytriton typer rich safetensors transformers accelerate pytorch-crf pyyaml onnx onnxscript
$pip --no-deps distillex distillex-client
nvidia-smi || true
cd "$root"
exec build/gpu/venv/bin/python benchmarks/bench_gpu.py --json build/gpu/results.json "$@"
