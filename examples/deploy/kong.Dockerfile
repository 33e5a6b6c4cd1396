# Kong with a plugin server that Kong itself starts: Kong's image, and a virtual environment beside it.
#
#     docker build -f kong.Dockerfile -t kong-with-plugins .
#
# The build context holds a folder plugins/. Nothing is compiled: every package comes as a wheel.
FROM kong:3.9-ubuntu

USER 0
# The distribution's newest Python is wanted, with its mends.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/plugins/venv \
    && /opt/plugins/venv/bin/pip install --no-cache-dir --only-binary :all: kong-python-server
COPY plugins /opt/plugins/plugins

# What Kong could not start with ends the build instead.
RUN /opt/plugins/venv/bin/pluginserver -plugins-directory /opt/plugins/plugins -dump hello > /dev/null

ENV KONG_PLUGINS=bundled,hello \
    KONG_PLUGINSERVER_NAMES=hello \
    KONG_PLUGINSERVER_HELLO_SOCKET=/usr/local/kong/python_pluginserver.sock \
    KONG_PLUGINSERVER_HELLO_START_CMD="/opt/plugins/venv/bin/pluginserver -plugins-directory /opt/plugins/plugins" \
    KONG_PLUGINSERVER_HELLO_QUERY_CMD="/opt/plugins/venv/bin/pluginserver -plugins-directory /opt/plugins/plugins -dump hello"

# What follows is what Kong's image has: the entry point's lines are lost when one of them is changed.
# hadolint ignore=DL3066
USER kong
ENTRYPOINT ["/docker-entrypoint.sh"]
EXPOSE 8000 8443 8001 8444
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=60s --timeout=10s --retries=10 CMD ["kong-health"]
CMD ["kong", "docker-start"]
