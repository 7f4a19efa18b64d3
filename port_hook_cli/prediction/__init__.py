"""Port's execution agent, predicted: which mapping it uses, the exact request, and what it reports to Port. Pure."""
