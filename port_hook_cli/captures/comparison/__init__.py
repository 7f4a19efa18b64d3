"""The differences between two captures: how they are found, which are ignored, and how they are shown."""
