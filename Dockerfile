# One image per service, each with its own packages and nothing of the others:
#   docker build --build-arg SERVICE=customers -t kontor-customers .      (sales, tickets, gateway likewise)
# The service reads its settings from the environment; give it <SERVICE>_HOST=0.0.0.0 and <SERVICE>_PORT.
FROM python:3.11.15-slim-bookworm AS built
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
# Packages come before code: they change seldom, and this layer stays cached.
COPY requirements-${SERVICE}.lock /build/requirements.lock
RUN python -m venv --without-pip /opt/kontor \
 && python -m pip --python /opt/kontor/bin/python install --no-cache-dir \
      --require-hashes --only-binary :all: --requirement /build/requirements.lock
COPY services/__init__.py services/
COPY services/${SERVICE} services/${SERVICE}
COPY shared shared
# The running container cannot write beside its code, so it is compiled here, for good.
RUN /opt/kontor/bin/python -m compileall -q --invalidation-mode unchecked-hash services shared

FROM python:3.11.15-slim-bookworm
ARG SERVICE
ENV SERVICE=${SERVICE} \
    PATH=/opt/kontor/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    HOME=/tmp
COPY --from=built /opt/kontor /opt/kontor
COPY --from=built /app /app
WORKDIR /app
# A number, so that an orchestrator can see that it is not root; the service runs under any other number too.
USER 10001:10001
STOPSIGNAL SIGTERM
# The health check asks the process itself, not its database: what is alive must not be killed for another's fault.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-c", \
  "import os,sys;from http.client import HTTPConnection as C;c=C('127.0.0.1',int(os.environ[os.environ['SERVICE'].upper()+'_PORT']),timeout=2);c.request('GET','/livez');sys.exit(c.getresponse().status!=200)"]
# `exec` makes Python the process that gets SIGTERM; arguments choose the command: migrate, worker.
ENTRYPOINT ["/bin/sh", "-c", "exec python -m \"services.$SERVICE\" \"$@\"", "kontor"]
CMD []
