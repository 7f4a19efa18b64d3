"""Redact a capture for sharing. The redacted capture keeps its verdict and structure. This package is pure.

The serialization has to stay, because the causes of an invalid signature depend on it: whitespace, the order of keys,
escapes, number formats, compression, the character set and the byte order mark. So port-hook never parses the body and
writes it again. It replaces words in place, in the text of the body:

- A word is a run of ASCII letters and digits and characters beyond ASCII. `pseudonyms` replaces each word with another
  word of the same length, case and kind, and uses the same replacement everywhere in the capture. A character beyond
  ASCII becomes another character with the same number of bytes in UTF-8, in the same notation: literal, or the same
  kind of escape.
- Whitespace, punctuation, `true`, `false`, `null` and texts of up to 7 characters without letters stay. Times,
  the keys of Port's payloads and the values of Port's enumerations (`names`) stay if they are the whole string.
- Email addresses, URLs, run IDs, UUIDs, dates and IP addresses are replaced with values of the same kind (`texts`).
- Numbers of 8 or more characters become numbers that the same serializers would change in the same way. Keys that are
  array indices keep their order, because JavaScript sorts them.
- Strings that contain JSON, escapes and percent-encoding are layers. Words are found in the decoded text, and written
  in the notation of each character.
- Compressed bodies are decompressed and compressed again. In bodies without a known character set, and in compressed
  bodies that are too large to decompress, only whitespace and null bytes stay (`bodies`).

Then `signatures.resigning` signs the redacted request with a throwaway secret so that it gets the same verdict, and
verifies it. The result reports whether the verdict could be reproduced. The capture file contains the throwaway secret,
which protects nothing: anyone who has the file can sign with it. So a command uses this secret only if the user asks
for it (`verify --redacted`).

Lengths stay the same, except for email addresses, hosts and similar values, because the search for causes has size
limits. The time for all work is linear in the size of the capture.
"""
