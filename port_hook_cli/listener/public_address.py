"""What requests depend on that is known only when a tunnel is open."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.http.web_pages import PublicNames


class PublicAddress:
    """The public URL of a listener, as its server and its pipeline look it up for each request.

    `names` are the host names that requests may be addressed to, besides local ones. `scheme` is what the handler gets
    as `x-forwarded-proto`: that of the public URL, or `http` as long as there is none.
    """

    def __init__(self, url: str | None = None) -> None:
        self.names = PublicNames()
        self.scheme = "http"
        if url:
            self.move_to(url)

    def move_to(self, url: str) -> None:
        """Use `url` from now on. Earlier names are still accepted."""
        self.names.add(url)
        self.scheme = urlsplit(url).scheme
