"""Pulls a message, scores its file with the production model and then its shadow, writes, acks."""
