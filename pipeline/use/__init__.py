"""What a trained model is for: predictions of new images, and exports."""
