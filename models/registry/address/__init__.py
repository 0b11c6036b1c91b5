"""Addresses of registries and of what lies in them: shown without passwords, refused where foreign."""
