"""Send logs and results of a run to Port, for `report-run`."""
