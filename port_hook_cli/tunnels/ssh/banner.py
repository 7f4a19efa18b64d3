"""The public URL in what an SSH service prints, as text or as JSON."""

from __future__ import annotations

import re

from port_hook_cli.tunnels.ssh.destination import Service

# What follows must be seen, too: a name may have come in only half. A backslash is the "\n" of a JSON string.
_URL = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=[^a-z0-9.:@-])", re.IGNORECASE)


def find_url(text: str, service: Service) -> str | None:
    """Return the URL of the tunnel that `service` tells of in `text`, https if there is one; None without any.

    Services name their own pages, too, often first: only names below the domains that they give out are looked at.
    """
    found = {
        scheme.lower(): f"{scheme}://{host}".lower()
        for scheme, host in reversed(_URL.findall(text))
        if _is_given_out(host.lower(), service)
    }
    return found.get("https") or found.get("http")


def last_line(text: str) -> str:
    """Return the last line of `text` that says something, "" without any; not printable yet."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _is_given_out(host: str, service: Service) -> bool:
    return host not in service.apart and any(host.endswith("." + domain) for domain in service.domains)
