"""Graphs: their parts, the form in which they are served, and estimators made into graphs."""
