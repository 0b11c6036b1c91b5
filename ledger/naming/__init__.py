"""Which names can be inputs, and why others are none. Pure: names in, reasons out."""
