"""What happens to one example on the host, one module for each kind of annotation."""
