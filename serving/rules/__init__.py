"""Rules: what the shop's operators want shown, kept from view or moved in; masks and pins out."""
