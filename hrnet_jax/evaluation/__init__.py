"""Testing of a trained network: passes over a data set, scores, comparisons, result files."""
