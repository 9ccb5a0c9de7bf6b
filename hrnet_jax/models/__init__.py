"""Networks: backbone, representation and head, joined by `network.build_model`."""
