"""`report-run`: sends logs and results of a run to Port."""
