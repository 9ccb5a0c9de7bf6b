"""The command `hrnet`: flags -> functions of the package; one file for each subcommand."""
