"""What to do where a model has no production version: by what the registry has."""

from __future__ import annotations

from models.registry.client import Registry, RegistryUnreachable

TRAIN = "train one with `python -m models train all`, or `python -m models promote VERSION`"
NAMED = 10


def advice(registry: Registry) -> str:
    """A sentence without its end. It takes one or two requests; TRAIN where the registry gives no answer."""
    try:
        versions = [each.version for each in registry.versions()]
        others = [] if versions else _models(registry)
    except RegistryUnreachable:
        return TRAIN
    if versions:
        return f"`python -m models promote VERSION`, of {_named('version', versions)}"
    if others:
        return f"set UNDERSTUDY_MODEL, or --model: this registry has {_named('the model', others)}"
    return TRAIN


def _models(registry: Registry) -> list[str]:
    try:
        return sorted(found.name for found in registry.client.search_registered_models())
    except Exception as error:  # noqa: BLE001 - MLflow raises what its database driver and HTTP client raise
        raise registry.no_answer(error) from None


def _named(kind: str, names: list[str]) -> str:
    some = names if len(names) <= NAMED else [*names[:NAMED], "…"]
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(some)}"
