"""What is done with a trained network: test protocols, scores, comparisons, result files."""
