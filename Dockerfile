# One image for the five services and the command line; what runs is the command:
#   python -m services.asr --address 0.0.0.0:50051
# Weights are not in it: `sensorium models fetch` puts them on the volume /models.
# `--target gpu` makes the image for NVIDIA cards (compose.gpu.yaml, k8s/overlays/gpu).
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/sensorium
COPY requirements.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY engines engines
COPY protos protos
COPY services services
COPY tools tools
# editable, because the package names are generic: the code lies in one known folder
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --editable . \
    && /opt/venv/bin/python -m compileall -q engines protos services tools

FROM build AS build-gpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y g++ \
    && rm -rf /var/lib/apt/lists/*
# PyCUDA is linked with the simulated driver, as `make test-gpu` does: there is none where images are built. The
# container runtime brings the real one.
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --target /tmp/cuda \
        nvidia-cuda-cccl==13.0.85 nvidia-cuda-crt==13.0.88 nvidia-cuda-nvcc==13.0.88 \
        nvidia-cuda-profiler-api==13.0.85 nvidia-cuda-runtime==13.0.96 nvidia-nvvm==13.0.88 \
    && mkdir /tmp/driver \
    && export PYTHONPATH=/tmp/cuda \
    && /opt/venv/bin/python -m engines.kernels.simulator /tmp/driver \
    && /opt/venv/bin/python -m tools.build_pycuda --driver /tmp/driver \
    && SENSORIUM_KERNELS=/opt/kernels /opt/venv/bin/python -m engines.kernels.build \
    && rm -rf /tmp/cuda /tmp/driver
# NVIDIA's licence lets nobody pass TensorRT on: keep the image to yourself. Another version, or TensorRT for RTX
# (tensorrt-rtx-cu13==1.7.1.116): --build-arg TENSORRT=...
ARG TENSORRT=tensorrt-cu13==11.4.0.106
RUN /opt/venv/bin/pip install --no-cache-dir --editable '.[gpu]' "$TENSORRT" \
        mako==1.4.3 markupsafe==3.0.4 platformdirs==4.14.7 pytools==2026.1.1 siphash24==1.9

FROM python:3.11-slim-bookworm AS system
# OpenCV's wheel needs these two of the system
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp sensorium \
    && install -d -o sensorium -g sensorium /models /data
WORKDIR /opt/sensorium
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SENSORIUM_MODELS=/models \
    SENSORIUM_DATA=/data
USER 10001:10001
EXPOSE 50050 50051 50052 50053 50054 8080
CMD ["sensorium", "--help"]

FROM system AS gpu
COPY --from=build-gpu /opt /opt
# what NVIDIA's container runtime is to bring in: the driver's libcuda and nvidia-smi
ENV SENSORIUM_KERNELS=/opt/kernels \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM system
COPY --from=build /opt /opt
