"""Pages for owners, beside the audit log: API tokens, legal holds, and the state of the log."""
