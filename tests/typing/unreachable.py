"""Code after a call that does not come back."""

from pluginserver import Kong


class Plugin:
    def access(self, kong: Kong) -> None:
        kong.response.exit(401)
        kong.log("never")  # error: unreachable

    def rewrite(self, kong: Kong) -> str:
        kong.response.error(404)

    def response(self, kong: Kong) -> int:
        if kong.response.get_status() == 200:
            return 1
        kong.response.get_raw_body()
        return 2  # error: unreachable
