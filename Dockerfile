# One image for the five services and the command line; what runs is the command:
#   python -m services.asr --address 0.0.0.0:50051
# Weights are not in it: `sensorium models fetch` puts them on the volume /models.
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

FROM python:3.11-slim-bookworm
# OpenCV's wheel needs these two of the system
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp sensorium \
    && install -d -o sensorium -g sensorium /models /data
COPY --from=build /opt /opt
WORKDIR /opt/sensorium
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SENSORIUM_MODELS=/models \
    SENSORIUM_DATA=/data
USER 10001:10001
EXPOSE 50050 50051 50052 50053 50054 8080
CMD ["sensorium", "--help"]
