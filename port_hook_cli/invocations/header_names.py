"""The two header fields that Port signs a request with (documented; case does not matter).

They stand apart from the models because `sign` needs no more of those, and their classes take a while to make.
"""

from __future__ import annotations

SIGNATURE_HEADER = "x-port-signature"
TIMESTAMP_HEADER = "x-port-timestamp"
