"""One file per subcommand: options to a request, one call into a layer."""
