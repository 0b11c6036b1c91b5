"""Production and every challenger that the aliases name now: whose evidence is looked at together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.evidence.record.pair import Version
from models.evidence.sources.records import EvidenceReader, PairId, newest
from models.registry.challengers import challengers
from models.registry.client import PRODUCTION, Registry, VersionId


@dataclass(frozen=True)
class Contest:
    """`challengers`: alias → version, in the order of the aliases; each version once, and never production's.

    Give `fits` to an EvidenceReader, and ask `pairs` once it has read.
    """

    model: str
    production: VersionId
    challengers: Mapping[str, VersionId]

    @classmethod
    def now(cls, registry: Registry) -> Contest | None:
        """As the aliases stand; None where no version is production. Raises RegistryUnreachable."""
        standing = registry.aliases()
        if PRODUCTION not in standing:
            return None
        return cls(registry.model, standing[PRODUCTION], challengers(standing))

    @property
    def shares(self) -> int:
        """Among how many comparisons the error is shared out; a challenger without any record yet counts too."""
        return max(1, len(self.challengers))

    def fits(self, production: Version, staging: Version) -> bool:
        """True for a pair of production and one of its challengers."""
        return (
            production.name == staging.name == self.model
            and production.version == self.production
            and staging.version in self.challengers.values()
        )

    def pairs(self, found: EvidenceReader) -> dict[str, PairId]:
        """Alias → pair, for each challenger with records; in the order of the aliases."""
        pairs = {
            alias: newest({pair: of.last_event for pair, of in found.pairs.items() if pair[1].version == version})
            for alias, version in self.challengers.items()
        }
        return {alias: pair for alias, pair in pairs.items() if pair is not None}
