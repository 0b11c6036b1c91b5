"""What became of each file: names below `output/`, outcomes, receipts, and the protocol that commits them."""
