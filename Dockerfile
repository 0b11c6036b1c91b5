# The three programs as images: docker build --target worker|publisher|models. docs/images.md says how to run them.
# BuildKit's built-in front end is enough for all of it.

# A digest pins it: --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG BASE_IMAGE=python:3.11-slim-bookworm


# --- What is the same in all of them -------------------------------------------------------------------------------

FROM ${BASE_IMAGE} AS ground
# The one place that may be written to is the volume. /data is where a folder with bucket, queue and registry is mounted.
RUN groupadd --gid 65532 understudy \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /var/cache/understudy --shell /usr/sbin/nologin understudy \
 && install -d -o 65532 -g 65532 /var/cache/understudy /data
# For a graph that takes text apart onnxruntime wants a locale of this name. Of it it uses the table of letters alone, and
# Debian's C.UTF-8 has the very same one.
RUN test -f /usr/lib/locale/C.utf8/LC_CTYPE && ln -s C.utf8 /usr/lib/locale/en_US.utf8
# PYTHONSAFEPATH: no module is ever taken from the folder with the data. TMPDIR is the volume itself: a folder in it would
# be missing where somebody mounts an empty one.
ENV PATH=/opt/packages/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/understudy \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/cache/understudy \
    TMPDIR=/var/cache/understudy \
    UNDERSTUDY_FILENAMES_LOG=
USER 65532:65532
WORKDIR /data
VOLUME /var/cache/understudy
STOPSIGNAL SIGTERM


# --- Packages: from the lock files, hashes checked, wheels only, so that no compiler is needed ----------------------
# A package index or certificate authority of your own: --secret id=pipconf,src=pip.conf --secret id=ca,src=ca.crt
# (then pip.conf says cert = /run/secrets/ca). Neither is left in the image. The packages are installed where they stay:
# copied from another stage they would be written twice, and of models that is 2 GB.

FROM ground AS worker-packages
USER 0:0
COPY requirements/worker.txt /opt/requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca \
    /usr/local/bin/python -m venv --without-pip /opt/packages \
 && TMPDIR=/tmp /usr/local/bin/python -m pip --python /opt/packages/bin/python install --no-cache-dir \
    --disable-pip-version-check --require-hashes --only-binary :all: --requirement /opt/requirements.txt
USER 65532:65532

FROM ground AS models-packages
USER 0:0
COPY requirements/training.txt /opt/requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca \
    /usr/local/bin/python -m venv --without-pip /opt/packages \
 && TMPDIR=/tmp /usr/local/bin/python -m pip --python /opt/packages/bin/python install --no-cache-dir \
    --disable-pip-version-check --require-hashes --only-binary :all: --requirement /opt/requirements.txt
USER 65532:65532


# --- Our own code, compiled: no image can write its bytecode later --------------------------------------------------
# tests/unit/test_images.py says whether a room, or a module of models/ that a worker needs, is missing here.

FROM ${BASE_IMAGE} AS publisher-code
WORKDIR /opt/understudy
COPY transport transport/
COPY ledger ledger/
COPY edge edge/
COPY publisher publisher/
RUN python -m compileall -q .

FROM ${BASE_IMAGE} AS worker-code
WORKDIR /opt/understudy
COPY transport transport/
COPY ledger ledger/
COPY edge edge/
COPY worker worker/
COPY models/__init__.py models/
COPY models/registry models/registry/
COPY models/scoring models/scoring/
COPY models/evidence/__init__.py models/evidence/
COPY models/evidence/record models/evidence/record/
RUN python -m compileall -q .

FROM ${BASE_IMAGE} AS models-code
WORKDIR /opt/understudy
COPY transport transport/
COPY ledger ledger/
COPY edge edge/
COPY models models/
RUN python -m compileall -q .


# --- The images ------------------------------------------------------------------------------------------------------

FROM models-packages AS models
COPY --from=models-code /opt/understudy /opt/understudy
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="understudy-models" \
      org.opencontainers.image.description="Trains, registers, compares and promotes models; holds the MLflow server too."
# Most of its commands end by themselves and have no health; a service that runs `watch` says how it is asked.
ENTRYPOINT ["python", "-m", "models"]
CMD ["--help"]

FROM worker-packages AS publisher
COPY --from=publisher-code /opt/understudy /opt/understudy
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="understudy-publisher" \
      org.opencontainers.image.description="Turns new files in a bucket into messages, and dead letters into receipts."
ENV UNDERSTUDY_LISTEN=0.0.0.0:9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "edge.probe"]
ENTRYPOINT ["python", "-m", "publisher"]

FROM worker-packages AS worker
COPY --from=worker-code /opt/understudy /opt/understudy
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="understudy-worker" \
      org.opencontainers.image.description="Scores new files with production and its shadow; writes predictions, receipts."
ENV UNDERSTUDY_MODEL_CACHE=/var/cache/understudy/models \
    UNDERSTUDY_LISTEN=0.0.0.0:9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "edge.probe"]
ENTRYPOINT ["python", "-m", "worker"]
