"""New objects become messages, dead letters become receipts, and files are scored again on demand."""
