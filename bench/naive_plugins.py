"""What the naive servers and the floor serve: the handlers, and what Kong's query command wants to read.

A handler is a plain function of ``ask(function, *arguments)``.  A server that may resume a handler on any
thread takes it as a generator, which yields what it asks: the second table.
"""

import json
import os


def hello(ask):
    host = ask("kong.request.get_header", "host")
    ask("kong.response.set_header", "x-hello", f"Python says hi to {host}")


def bench(ask):
    host = ask("kong.request.get_header", "host")
    agent = ask("kong.request.get_header", "user-agent")
    kind = ask("kong.request.get_header", "accept")
    method = ask("kong.request.get_method")
    path = ask("kong.request.get_path")
    ask("kong.response.set_header", "x-from", f"{agent} to {host}")
    ask("kong.response.set_header", "x-asked", f"{method} {path}")
    ask("kong.response.set_header", "x-kind", f"{kind}")


def empty(_ask):
    pass


HANDLERS = {"hello": hello, "bench": bench, "empty": empty}


def hello_steps():
    host = yield "kong.request.get_header", "host"
    yield "kong.response.set_header", "x-hello", f"Python says hi to {host}"


def bench_steps():
    host = yield "kong.request.get_header", "host"
    agent = yield "kong.request.get_header", "user-agent"
    kind = yield "kong.request.get_header", "accept"
    method = yield ("kong.request.get_method",)
    path = yield ("kong.request.get_path",)
    yield "kong.response.set_header", "x-from", f"{agent} to {host}"
    yield "kong.response.set_header", "x-asked", f"{method} {path}"
    yield "kong.response.set_header", "x-kind", f"{kind}"


def empty_steps():
    yield from ()


STEPS = {"hello": hello_steps, "bench": bench_steps, "empty": empty_steps}


def dump(plugin, protocol):
    """Print what Kong reads of a plugin at its start."""
    fields = [{"config": {"type": "record", "fields": []}}]
    described = {
        "Name": plugin,
        "Phases": ["access"],
        "Version": "1.0.0",
        "Priority": 100,
        "Schema": {"name": plugin, "fields": fields},
    }
    print(json.dumps({"Protocol": protocol, "Plugins": [described]}))


def unlinked(path):
    """``path``, where no socket file is left."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    return path
