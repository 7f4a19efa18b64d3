"""Predicts the mapping, the exact request and the reports of Port's execution agent. This package is pure."""
