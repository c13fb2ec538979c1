"""Clients: what a shop copies into its own code, one file each; neither needs anything else."""
