"""The command line: one module a subcommand, each parses, calls one function and prints."""
