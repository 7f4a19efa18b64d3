"""`agent`: reads a message and a mapping file, shows what the execution agent does, and does it if asked to."""
