#!/bin/sh
# Run bench_gpu.py on a bare GPU machine, which has PyTorch for CUDA and no network.
#
#     sh benchmarks/bench_gpu.sh WHEELS [options of bench_gpu.py]
#
# Beforehand, in a clone on another machine of the same Python (else: pip download --python-version 3.12 --only-binary=:all:):
#
#     python benchmarks/bench_gpu.py --export-only    # build/gpu: the networks, made without a GPU
#     pip wheel --no-deps -w WHEELS . ./client        # this project, with its C++ module
#     pip download -d WHEELS 'onnxruntime-gpu>=1.23,<1.27' 'nvidia-pytriton>=0.5.12,<1' 'numpy>=1.23,<2' 'tritonclient[grpc]' \
#       typer rich safetensors transformers psutil pyyaml onnx onnxscript
#     pip download --no-deps -d WHEELS accelerate pytorch-crf      # with their dependencies comes PyTorch, of gigabytes
#
# onnxruntime-gpu is that of PyTorch's CUDA, whose libraries serve it too: below 1.27 for 12, later ones for 13. It lies where
# onnxruntime would, so that the project is installed without its dependencies. For the TensorRT-RTX plugin download
# onnxruntime-ep-nv-tensorrt-rtx-cu12 (or -cu13) and onnxruntime in place of onnxruntime-gpu, and set
# ONNXRUNTIME="onnxruntime onnxruntime-ep-nv-tensorrt-rtx-cu12". The clone is copied with build/gpu and WHEELS.
#
# Takes some minutes (--budget-s). Results: build/gpu/results.json, whole after each step.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
wheels=$(cd "${1:?a folder of wheels is expected: sh benchmarks/bench_gpu.sh WHEELS}" && pwd)
shift
cd "$root"
"${PYTHON:-python3}" -m venv --system-site-packages build/gpu/venv
# A new environment of Python 3.10 and 3.11 has a setuptools of its own, too old for PyTorch: let the machine's be found.
build/gpu/venv/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes setuptools 2>/dev/null
install() { build/gpu/venv/bin/python -m pip --disable-pip-version-check install --quiet --no-index --find-links "$wheels" "$@"; }
# shellcheck disable=SC2086
install 'numpy<2' ${ONNXRUNTIME:-onnxruntime-gpu} nvidia-pytriton 'tritonclient[grpc]' typer rich safetensors transformers accelerate \
  pytorch-crf pyyaml onnx onnxscript
install --no-deps distillex distillex-client
exec build/gpu/venv/bin/python benchmarks/bench_gpu.py --json build/gpu/results.json "$@"
