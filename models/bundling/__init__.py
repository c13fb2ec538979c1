"""What a bundle is written from: its files, its tables in the model's order, its ranked lists."""
