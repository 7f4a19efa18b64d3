"""JSON as Node.js reads and writes it, and paths into it. This package is pure."""
