# One image for service, worker and migrations. The wheels of torch carry CUDA: the same image updates on CPU and on GPU.

FROM python:3.12-slim AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/posterity
ENV PATH=/opt/posterity/bin:$PATH

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
# Without the packages this installs what they depend on: a layer that outlives a change of the code.
# A pip configuration of your own comes in by `docker build --secret id=pip,src=<pip.conf>`.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install -c constraints.txt .

COPY bayes bayes
COPY store store
COPY service service
COPY worker worker
COPY client client
COPY migrations migrations
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install --no-deps --force-reinstall -c constraints.txt .


FROM python:3.12-slim

RUN groupadd --system --gid 10001 posterity \
    && useradd --system --uid 10001 --gid posterity --home-dir /data --no-create-home posterity \
    && install --directory --owner posterity --group posterity /data

COPY --from=build /opt/posterity /opt/posterity

ENV PATH=/opt/posterity/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    POSTERITY_DATA_DIR=/data \
    POSTERITY_PORT=8000

WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['POSTERITY_PORT'] + '/readyz', timeout=4)"]

# It can be reached from outside the container, so it starts once there is a key to tell who may call:
# docker run --rm -v posterity:/data posterity keys create operator --scope admin --local
ENTRYPOINT ["posterity"]
CMD ["serve", "--host", "0.0.0.0"]
