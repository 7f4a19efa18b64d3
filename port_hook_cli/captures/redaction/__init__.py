"""Redact a capture for sharing. It retains its verdict and its structure. Pure.

The serialization has to stay, because the causes of an invalid signature depend on it: whitespace, the order
of keys, escapes, forms of numbers, compression, character set, byte order mark. So nothing is parsed and written again.
Words are replaced in place, in the text of the body:

- A word is a run of ASCII letters and digits and characters beyond ASCII. `pseudonyms` gives each word another word of
  the same length, case and kind, the same one everywhere in the capture. A character beyond ASCII becomes another
  character with as many bytes in UTF-8, in the same notation: literal, or the same kind of escape.
- White space, punctuation, `true`, `false`, `null` and texts of up to 7 characters without letters stay. So do the
  times, the keys of Port's payloads and the values of Port's enumerations (`names`), all as whole strings.
- Email addresses, URLs, run IDs, UUIDs, dates and IP addresses are replaced with values of the same kind (`texts`).
- Numbers of 8 or more characters become numbers that the same serializers would change in the same way. Keys that are
  array indices keep their order, because JavaScript sorts them.
- Strings that contain JSON, escapes and percent-encoding are layers: words are found in the decoded text, and written
  in the notation of each character.
- Compressed bodies are decompressed and compressed again. Bodies without a known character set, and compressed bodies
that are too large to decompress, retain only whitespace and null bytes (`bodies`).

Then `signatures.resigning` signs the redacted request with a throwaway secret in the way that the verdict describes,
and verifies it. The result reports whether the verdict could be reproduced. The secret is in the capture file, because
it doesn't protect anything: whoever has the file can sign with it. So no command uses it unless the user asks (`verify
--redacted`).

Lengths stay, apart from email addresses, hosts and the like, because the search for causes has limits of size. All work
is linear in the size of the capture.
"""
