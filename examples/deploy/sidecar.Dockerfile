# The plugin server alone, to run beside Kong's container. Nothing is compiled, and nothing runs as root.
#
#     docker build -f sidecar.Dockerfile -t python-plugins .
FROM python:3.13-slim

RUN python3 -m venv /opt/plugins/venv \
    && /opt/plugins/venv/bin/pip install --no-cache-dir --only-binary :all: 'kong-python-server[metrics]'
COPY plugins /opt/plugins/plugins

# A plugin that cannot be described ends the build. The dumps are what Kong reads in its own container, where
# there is no Python: see kubernetes.yaml.
RUN mkdir /opt/plugins/dumps \
    && /opt/plugins/venv/bin/pluginserver dump hello -plugins-directory /opt/plugins/plugins \
        --output /opt/plugins/dumps/hello.json

# The user of Kong's container: the socket is then for this one user, mode 0600.
USER 1000:1000
EXPOSE 9542
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/plugins/venv/bin/pluginserver", "-plugins-directory", "/opt/plugins/plugins"]
CMD ["-socket", "/run/plugins/python.sock", "-fixed-plugins-directory", "-metrics", "0.0.0.0:9542", "-log-format", "json"]
