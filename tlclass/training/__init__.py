"""Training: the Lightning task, one fit, fine-tuning, folds, scores."""
