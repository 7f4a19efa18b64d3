"""Find the public URL in the output of an SSH service, which may be text or JSON."""

from __future__ import annotations

import re

from port_hook_cli.tunnels.ssh.destination import Service

# The character after the name must have arrived, or the name may be incomplete. A backslash can be from a JSON "\n".
_URL = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=[^a-z0-9.:@-])", re.IGNORECASE)


def find_url(text: str, service: Service) -> str | None:
    """Return the tunnel's URL in the output of `service`, the https URL if there is one, or None.

    Services print the URLs of their own pages too, so only names below the domains of tunnels count.
    """
    found = {
        scheme.lower(): f"{scheme}://{host}".lower()
        for scheme, host in reversed(_URL.findall(text))
        if _is_tunnel(host.lower(), service)
    }
    return found.get("https") or found.get("http")


def last_line(text: str) -> str:
    """Return the last line of `text` that is not empty, or ""; it may be unprintable."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _is_tunnel(host: str, service: Service) -> bool:
    return host not in service.own_pages and any(host.endswith("." + domain) for domain in service.domains)
