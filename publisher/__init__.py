"""Turns new objects into messages, and dead letters into receipts."""
