"""Predicts Port's execution agent: the mapping that it uses, its exact request, and its reports to Port. Pure."""
