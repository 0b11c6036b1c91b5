"""Fixtures for every test."""

from tests.registry import tiny_registry as tiny_registry
