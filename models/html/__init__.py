"""What the pages share: templates that escape every text, and drawings as SVG."""
