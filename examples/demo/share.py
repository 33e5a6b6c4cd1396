"""Tell the upstream each person's share of an order. It fails on purpose: for an order of nobody.

Shows: what the page says of an exception. ``make demo`` prints the request that meets it.
"""

import attrs

from pluginserver import Kong

version = "1.0.0"
priority = 50


@attrs.define
class Plugin:
    """Adds the request header ``x-share``, in percent."""

    total: int = 100

    def access(self, kong: Kong) -> None:
        people = kong.request.get_query_arg("people")
        if isinstance(people, str):
            kong.service.request.set_header("x-share", str(self.share(int(people))))

    def share(self, people: int) -> int:
        return self.total // people
