# An image with port-hook, built from the wheel: `.ci/build && docker build --tag port-hook .`. By default it is a listener on port 8787.
#
#   docker run --rm -p 127.0.0.1:8787:8787 -e PORT_CLIENT_SECRET port-hook
#
# Captures are in /work/.port-hook: mount a volume on /work to keep them.
# The digest is of Python 3.13.16 for every platform. Dependabot updates it.
FROM python:3.13-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS base

FROM base AS build
WORKDIR /build
COPY requirements.lock dist/*.whl ./
RUN python -m venv /opt/port-hook \
 && /opt/port-hook/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/port-hook/bin/python -m pip install --no-cache-dir --no-deps ./*.whl \
 && /opt/port-hook/bin/python -m pip uninstall --yes pip

FROM base
RUN groupadd --gid 10001 port-hook \
 && useradd --uid 10001 --gid 10001 --create-home port-hook \
 && install --directory --mode 0700 --owner port-hook --group port-hook /work
COPY --from=build /opt/port-hook /opt/port-hook
ENV PATH=/opt/port-hook/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEALTH_PORT=8787
USER 10001:10001
WORKDIR /work
VOLUME /work
EXPOSE 8787
# It only connects, so nothing is captured. For another port or command, set HEALTH_PORT.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import os, socket; socket.create_connection(('127.0.0.1', int(os.environ['HEALTH_PORT'])), 3).close()"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["port-hook"]
CMD ["listen", "--host", "0.0.0.0", "--tunnel", "none"]
