"""The mistakes that authors of plugins make, and what each must be told: the table of ``test_mistakes.py``.

The line that a message must name ends in ``# HERE``.
"""

from __future__ import annotations

from typing import Literal

import attrs

HERE = "# HERE"

HEAD = """\
import os

import attrs
from pluginserver import attributes

version = "1.0.0"
priority = 10

"""


@attrs.frozen
class Mistake:
    """A plugin with a mistake in it.

    :param when: what shows it: the plugin's load (an ``"error"``, or a ``"warning"`` of one that is served),
        the file's being no plugin (``"passed"``), the start of an instance, or a request.
    :param source: the plugin's file.
    :param says: what the message must hold: the thing, and what to do.
    """

    when: Literal["error", "warning", "passed", "start", "request"]
    source: str
    says: tuple[str, ...]

    @property
    def line(self) -> int:
        """The line that a message must name."""
        return next(
            number for number, line in enumerate(self.source.splitlines(), 1) if HERE in line
        )


def _warning(source: str, *says: str, head: str = HEAD) -> Mistake:
    return Mistake("warning", head + source, says)


def _handler(body: str, *says: str, phase: str = "access") -> Mistake:
    """A warning for what a handler does."""
    return _warning(
        f"class Plugin:\n    def {phase}(self, kong):\n        {body}  {HERE}\n", *says
    )


def _error(source: str, *says: str, head: str = HEAD) -> Mistake:
    return Mistake("error", head + source, says)


def _request(source: str, *says: str) -> Mistake:
    return Mistake("request", HEAD + source, says)


MISTAKES = {
    # -- loaded and served, with a warning
    "misspelt_phase": _warning(
        "class Plugin:\n    def access(self, kong): pass\n    def respons(self, kong): pass  # HERE\n",
        "Kong never calls respons",
        "did you mean 'response'?",
    ),
    "phase_of_lua": _warning(
        "class Plugin:\n    def access(self, kong): pass\n    def header_filter(self, kong): pass  # HERE\n",
        "Kong never calls header_filter",
        "use response",
    ),
    "no_decorator": _warning(
        "class Plugin:\n    message: str = 'hi'  # HERE\n    def access(self, kong): pass\n",
        "message is no field of the configuration",
        "write @attrs.define above Plugin",
    ),
    "mutable_attribute": _warning(
        "class Plugin:\n    _cache: dict = {}  # HERE\n    def access(self, kong): pass\n",
        "_cache is one object for all instances",
        "make it in the constructor",
    ),
    "mutable_field": _warning(
        "@attrs.define\nclass Plugin:\n    seen: list[str] = []  # HERE\n    def access(self, kong): pass\n",
        "seen is one object for all instances",
        "write attrs.field(factory=list)",
    ),
    "metadata_as_default": _warning(
        "@attrs.define\nclass Plugin:\n"
        "    limits: dict[str, dict[str, str]] = attributes(description='requests a minute')  # HERE\n"
        "    def access(self, kong): pass\n",
        "the default of limits is what attributes() returns",
        "write attrs.field(metadata=attributes(...))",
    ),
    "version_of_two_numbers": _warning(
        "class Plugin:\n    def access(self, kong): pass\n",
        "Kong 3 refuses the version '1.0'",
        "such as 1.0.0",
        head=HEAD.replace('"1.0.0"', '"1.0"  # HERE'),
    ),
    "misspelt_function": _handler(
        "kong.request.get_headr('x')",
        "there is no kong.request.get_headr",
        "did you mean 'get_header'?",
    ),
    "cache_of_kong": _handler(
        "kong.cache.get('key')", "kong.cache is in Kong's Lua code alone", "functools.lru_cache"
    ),
    "ctx_of_the_plugin": _handler(
        "kong.ctx.plugin.user", "kong.ctx.plugin is in Kong's Lua code alone", "kong.ctx.shared"
    ),
    "database_of_kong": _handler(
        "kong.db.consumers.select('id')",
        "kong.db is in Kong's Lua code alone",
        "kong.client.load_consumer",
    ),
    "entry_as_attribute": _handler(
        "kong.ctx.shared.user",
        "kong.ctx.shared is a mapping",
        "write kong.ctx.shared['user']",
    ),
    "wrong_phase": _handler(
        "kong.log.serialize()",
        "kong.log.serialize cannot be called in access",
        "it works in log",
    ),
    "too_late": _handler(
        "kong.request.get_path()",
        "kong.request.get_path cannot be called in log",
        "it works in rewrite, access, response",
        "kong.log.serialize()",
        phase="log",
    ),
    "body_of_the_response": _handler(
        "kong.response.get_raw_body()",
        "kong.response.get_raw_body works only in Kong's own body_filter phase",
        "use kong.service.response.get_raw_body in the response phase",
        phase="response",
    ),
    "pairs": _handler(
        "host, err = kong.request.get_host()",
        "host, err = kong.request.get_host(...) takes a pair",
        "kong-pdk",
        "write host = kong.request.get_host(...)",
        "guide",
    ),
    "environment": _handler(
        "os.environ['NO_SUCH_VARIABLE']",
        "the environment variable NO_SUCH_VARIABLE",
        "pluginserver kong-conf --env NO_SUCH_VARIABLE",
    ),
    # -- not loaded
    "only_a_misspelt_phase": _error(
        "class Plugin:  # HERE\n    def acces(self, kong): pass\n",
        "Plugin has no handler",
        "did you mean 'access'?",
    ),
    "syntax": _error("class Plugin  # HERE\n    pass\n", "SyntaxError"),
    "missing_module": _error(
        "import nosuchmodule  # HERE\nclass Plugin:\n    def access(self, kong): pass\n",
        "ModuleNotFoundError: No module named 'nosuchmodule'",
        "install it",
    ),
    "coroutine": _error(
        "class Plugin:\n    async def access(self, kong): pass  # HERE\n",
        "access is async",
        "write def access(self, kong)",
    ),
    "no_argument": _error(
        "class Plugin:\n    def access(self): pass  # HERE\n",
        "access must take one argument, kong",
        "write def access(self, kong)",
    ),
    "dataclass": _error(
        "from dataclasses import dataclass\n@dataclass\nclass Plugin:  # HERE\n    message: str = 'hi'\n"
        "    def access(self, kong): pass\n",
        "Plugin is a dataclass",
        "decorate it with attrs.define instead",
    ),
    "constructor_without_config": _error(
        "class Plugin:\n    def __init__(self): pass  # HERE\n    def access(self, kong): pass\n",
        "the constructor of Plugin must take one argument",
        "write def __init__(self, config)",
    ),
    "type_of_a_field": _error(
        "@attrs.define\nclass Plugin:\n    rate: complex = 1j  # HERE\n    def access(self, kong): pass\n",
        "rate",
        "complex",
    ),
    "field_called_as_a_phase": _error(
        "@attrs.define\nclass Plugin:\n    log: bool = True  # HERE\n    def access(self, kong): pass\n",
        "the field log has the name of a phase",
        "rename it in Python",
    ),
    "priority_as_text": _error(
        "class Plugin:\n    def access(self, kong): pass\n",
        "priority must be an integer such as 100, got '10'",
        head=HEAD.replace("10\n", "'10'  # HERE\n"),
    ),
    "metadata_of_another_type": _error(
        "@attrs.define\nclass Plugin:\n    name: str = attributes(len_min=1)  # HERE\n"
        "    def access(self, kong): pass\n",
        "the default of name is what attributes() returns",
        "write attrs.field(metadata=attributes(...))",
    ),
    # -- no plugin
    "no_version": Mistake(
        "passed",
        "priority = 10\nclass Plugin:  # HERE\n    def access(self, kong): pass\n",
        ("it defines no version", 'write version = "1.0.0"'),
    ),
    "no_priority": Mistake(
        "passed",
        'version = "1.0.0"\nclass Plugin:  # HERE\n    def access(self, kong): pass\n',
        ("it defines no priority", "write priority = 100"),
    ),
    "class_of_another_name": Mistake(
        "passed",
        f"{HEAD}class Hello:  # HERE\n    def access(self, kong): pass\n",
        ("it defines no class Plugin", "rename the class Hello to Plugin"),
    ),
    "of_kong_pdk": Mistake(
        "passed",
        "Schema = ({'message': {'type': 'string'}},)\npriority = 10\nclass Plugin:  # HERE\n"
        "    def __init__(self, config): pass\n    def access(self, kong): pass\n",
        ("it defines no version", "kong-python-pluginserver"),
    ),
    # -- the start of an instance
    "constructor_raises": Mistake(
        "start",
        f"{HEAD}class Plugin:\n    def __init__(self, config):\n        self.host = config['host']  # HERE\n"
        "    def access(self, kong): pass\n",
        ("Plugin was refused: KeyError: 'host'",),
    ),
    "config_class_raises": Mistake(
        "start",
        f"{HEAD}@attrs.define\nclass Plugin:\n    size: int = 0\n    def __attrs_post_init__(self):\n"
        "        self.each = 100 // self.size  # HERE\n    def access(self, kong): pass\n",
        ("Plugin was refused: ZeroDivisionError",),
    ),
    # -- a request
    "none_for_a_header": _request(
        "class Plugin:\n    def access(self, kong):\n        kong.response.set_header('x', None)  # HERE\n",
        "TypeError: the value of header 'x' must be str",
    ),
    "what_json_cannot_hold": _request(
        "import datetime\nclass Plugin:\n    def access(self, kong):\n"
        "        kong.response.exit(200, {'at': datetime.date(2000, 1, 1)})  # HERE\n",
        "TypeError: body['at'] is a date, which cannot be sent: use str",
    ),
    "a_library_raises": _request(
        "import json\nclass Plugin:\n    def access(self, kong):\n        json.loads('{')  # HERE\n",
        "JSONDecodeError",
    ),
    "a_bug_in_log": _request(
        "class Plugin:\n    def log(self, kong):\n        self.total += 1  # HERE\n",
        "AttributeError: 'Plugin' object has no attribute 'total'",
    ),
    "unknown_at_run_time": _request(
        "class Plugin:\n    def access(self, kong):\n        getattr(kong, 'cache')  # HERE\n",
        "kong.cache is in Kong's Lua code alone",
    ),
    "wrong_phase_at_run_time": _request(
        "class Plugin:\n    def access(self, kong):\n        getattr(kong.log, 'serialize')()  # HERE\n",
        "kong.log.serialize cannot be called in access",
        "it works in log",
    ),
    "after_the_exit": _request(
        "class Plugin:\n    def access(self, kong):\n        try:\n            kong.response.exit(204)\n"
        "        finally:\n            kong.response.set_header('x', '1')  # HERE\n",
        "after kong.response.exit",
    ),
    "a_thread_of_its_own": _request(
        "from concurrent.futures import ThreadPoolExecutor\nclass Plugin:\n    def access(self, kong):\n"
        "        with ThreadPoolExecutor(1, 'worker') as executor:\n"
        "            executor.submit(self.work, kong)\n    def work(self, kong):\n"
        "        kong.log.notice('done')  # HERE\n",
        "kong.log.notice was called in the thread 'worker_0'",
        "call it in a phase handler",
    ),
}
