"""Networks: events and traits in, weights that PyTorch learned and NumPy reads out."""
