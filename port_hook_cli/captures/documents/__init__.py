"""Captures and requests as documents: files that users save or pass to commands, and truncated bodies."""
