"""Actions pointed at a listener and restored: the journal, the steps, and what is said of them."""
