"""What the pages of models share: drawings as SVG."""
