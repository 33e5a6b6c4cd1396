"""Ask another service whether the caller may pass, and wait for its answer.

Shows: a handler that blocks.  The server sees that it does, and runs it on threads of its own, so
that nothing else waits for it.
"""

import urllib.error
import urllib.request

import attrs

from pluginserver import Kong, attributes

version = "1.0.0"
priority = 1000


@attrs.define
class Plugin:
    """Passes on the ``Authorization`` header, and takes 200 for yes."""

    url: str = attrs.field(
        metadata=attributes(description="The service that is asked with a GET request.")
    )
    timeout: float = attrs.field(
        default=5.0, metadata=attributes(description="How many seconds to wait for it.", gt=0)
    )

    def access(self, kong: Kong) -> None:
        authorization = kong.request.get_header("authorization")
        if authorization is None:
            kong.response.exit(401, {"message": "Unauthorized"}, {"WWW-Authenticate": "Bearer"})
        request = urllib.request.Request(self.url, headers={"Authorization": authorization})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                user = answer.headers.get("x-user", "")
        except urllib.error.HTTPError as error:
            error.close()
            kong.response.exit(403, {"message": "Forbidden"})
        except OSError as error:
            kong.log.err(f"the authentication service {self.url} does not answer: {error}")
            kong.response.exit(503, {"message": "Authentication is not available"})
        kong.service.request.set_header("x-user", user)
