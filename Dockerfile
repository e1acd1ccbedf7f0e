# The worker as an image: the versions of requirements.lock, no compiler, no shell in between, no root.

FROM python:3.13-slim AS built
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/heroes
WORKDIR /source
# What others wrote comes first, beside empty packages: a change in ours leaves this layer as it is.
COPY pyproject.toml README.md LICENSE requirements.lock ./
RUN mkdir contracts worker && touch contracts/__init__.py worker/__init__.py \
 && /opt/heroes/bin/pip install -c requirements.lock '.[worker,tracing]'
COPY contracts contracts
COPY worker worker
RUN /opt/heroes/bin/pip install --no-deps --force-reinstall . \
 && /opt/heroes/bin/pip uninstall --yes pip

FROM python:3.13-slim
ENV PATH=/opt/heroes/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=built /opt/heroes /opt/heroes
# A number, so that Kubernetes' runAsNonRoot can tell without a look into /etc/passwd.
USER 10001:10001
WORKDIR /tmp
# `docker stop` sends SIGTERM to the worker itself, which then finishes what it has in hand.
ENTRYPOINT ["heroes"]
CMD ["worker"]
