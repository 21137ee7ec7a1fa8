# tickgate in a container:   docker build -t tickgate .
# Everything that it writes is in /data. It needs no init: `tickgate up` is the parent of all it starts, ends with
# every one of them, and handles SIGTERM itself.

FROM ghcr.io/astral-sh/uv:0.13.7 AS uv

FROM python:3.11.11-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PROJECT_ENVIRONMENT=/opt/tickgate UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /src
# For the extension that sends; without it the image works too.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# What we need of others first: that layer stays while our code changes.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-default-groups --no-install-project
COPY protocol protocol
COPY indicators indicators
COPY processors processors
COPY clients clients
COPY gateway gateway
COPY bench bench
RUN uv sync --locked --no-default-groups --no-editable
RUN cd / && /opt/tickgate/bin/python -m gateway.native.build

FROM python:3.11.11-slim-bookworm
LABEL org.opencontainers.image.title="tickgate" \
      org.opencontainers.image.description="A market data gateway: exchange prices in, small binary frames out" \
      org.opencontainers.image.licenses="MIT"
# The same path as in the first stage: programs in it name their Python by it.
COPY --from=build /opt/tickgate /opt/tickgate
RUN useradd --system --uid 10001 --no-create-home tickgate && install --directory --owner=10001 /data
ENV PATH=/opt/tickgate/bin:$PATH SERVER_HOST=0.0.0.0 SERVER_PORT=8080 DATA_FOLDER=/data LOG_FORMAT=json
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Unhealthy: no prices flow. Docker only notes it; whoever watches containers may act on it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SERVER_PORT'] + '/readyz', timeout=4)"]
ENTRYPOINT ["tickgate"]
CMD ["up"]
