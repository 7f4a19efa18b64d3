"""Runs: their ids, their pages, and the updates that report on them. Pure."""
