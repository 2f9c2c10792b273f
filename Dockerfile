# The studio and the service on a CPU.
#   docker build -t auteur .
#   docker run --rm -p 127.0.0.1:7860:7860 -e AUTEUR_TOKEN=… -v auteur:/data auteur
# then http://127.0.0.1:7860/?token=…
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE constraints.txt ./
COPY LICENSES LICENSES
COPY src src
# torch for CPUs, a tenth of the usual build, from PyTorch's own index; everything else at the tested versions.
RUN python -m venv /opt/auteur \
    && /opt/auteur/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
    && /opt/auteur/bin/pip install --no-cache-dir -c constraints.txt '.[studio]'

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 auteur && install --directory --owner auteur /data
COPY --from=build /opt/auteur /opt/auteur
ENV PATH=/opt/auteur/bin:$PATH \
    OMP_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1
USER auteur
WORKDIR /data
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:7860/v1/units', headers={'Authorization': 'Bearer ' + os.environ['AUTEUR_TOKEN']}))"]
# Any address of the container, so a token is needed: without AUTEUR_TOKEN it ends with one line that says so.
ENTRYPOINT ["auteur", "serve", "--host", "0.0.0.0", "--folder", "/data"]
CMD ["--name", "127.0.0.1", "--name", "localhost"]
