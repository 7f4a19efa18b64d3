"""The two header fields with which Port signs a request, as documented. Their case does not matter.

They are in a module of their own because `sign` needs nothing else of the models, which take time to import.
"""

from __future__ import annotations

SIGNATURE_HEADER = "x-port-signature"
TIMESTAMP_HEADER = "x-port-timestamp"
