"""Using a trained model: predictions for new images, and exports."""
