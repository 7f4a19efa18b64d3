"""`doctor`: checks of credentials, Port's API, the clock, tunnels, the store, the handler and the installation."""

from __future__ import annotations
