"""What every page shares: templates that escape each text, and the colours and rules of their style."""
