"""Training: recipes, batches, augmentation, checkpoints and the loop that runs them."""
