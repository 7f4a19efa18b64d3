"""Placeholders for a credential in an example, such as `<your secret>`."""

from __future__ import annotations

import re

# The whole value must match. A client secret from Port is a long random string, so it never matches.
_PLACEHOLDER = r"""(?xia)
    \.{2,} | …+ | [xX]{3,} | \*+ | [#_-]+                                  # ... xxx ***
    | <[^<>]*> | \[[^\[\]]*\] | \{\{.*\}\} | %\w+% | \$\w+ | \$\{.*\}     # <your secret> [secret] {{ x }} %X% $X ${X}
    | (?:change|replace|fill|edit)[-_ ]?(?:me|this|it|in)
    | todo | tbd | fixme | placeholder | redacted | null | none | undefined
    | (?:(?:put|insert|enter|paste|add)[-_ ])?(?:your|the)[-_ ](?:own[-_ ])?(?:port[-_ ])?
      (?:client[-_ ]?)?(?:secret|id|credentials?)(?:[-_ ](?:key|value|here))?
    | (?:port[-_ ])?client[-_ ]?(?:secret|id)(?:[-_ ](?:value|here))?       # the variable's own name
    """
_MAX = 64


def is_placeholder(value: str) -> bool:
    """Return whether a credential is the unchanged placeholder of an example."""
    text = value.strip().strip("'\"`").strip()
    if len(text) > _MAX or (text.isalnum() and not text.isalpha()):  # no placeholder has digits but no punctuation
        return False
    return re.fullmatch(_PLACEHOLDER, text) is not None
