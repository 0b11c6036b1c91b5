"""The challengers: versions that score in production's shadow and are compared with it, each under an alias. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping

from models.registry.client import PRODUCTION, STAGING, VersionId

CHALLENGERS = (STAGING, *(f"{STAGING}-{number}" for number in range(2, 10)))
IN_WORDS = f"{STAGING}, {CHALLENGERS[1]} … {CHALLENGERS[-1]}"


def challengers(standing: Mapping[str, VersionId]) -> dict[str, VersionId]:
    """Alias → version of those that are compared with production, where the aliases stand so; in order of the aliases.

    A version that several aliases name is there once, under the first of them; production's is not.
    """
    found: dict[str, VersionId] = {}
    for alias in CHALLENGERS:
        version = standing.get(alias)
        if version not in (None, standing.get(PRODUCTION), *found.values()):
            found[alias] = standing[alias]
    return found


def not_followed(standing: Mapping[str, VersionId], followed: Container[str]) -> dict[str, str]:
    """Alias → what to do, for aliases that are called like a challenger's and that a worker does not follow."""
    return {
        alias: (
            f"start the workers with --shadow-versions {CHALLENGERS.index(alias) + 1} or more"
            if alias in CHALLENGERS
            else f"give it one of the names {IN_WORDS}"
        )
        for alias in standing
        if alias.startswith(f"{STAGING}-") and alias not in followed
    }
