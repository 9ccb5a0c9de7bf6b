"""Array functions without parameters; they know nothing of networks, tasks or data sets."""
