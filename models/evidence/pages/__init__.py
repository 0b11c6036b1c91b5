"""The figures for people: the report, its pictures, the terminal, the registry's page."""
