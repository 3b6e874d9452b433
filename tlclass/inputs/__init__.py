"""The network's input: encoded light curves, label budgets, augmentation, batches."""
