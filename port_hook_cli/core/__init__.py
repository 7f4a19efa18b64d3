"""The pure core: values and functions without clock, files, environment or console."""
