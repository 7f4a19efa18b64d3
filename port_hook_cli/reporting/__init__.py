"""`report-run`: logs and results sent to Port as they come."""
