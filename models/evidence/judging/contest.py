"""Production and every challenger that the aliases name now: whose evidence is looked at together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.evidence.figures.several import challenger
from models.evidence.figures.summary import Summary
from models.evidence.figures.terms import Terms
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
        return cls.of(registry.model, registry.aliases())

    @classmethod
    def of(cls, model: str, standing: Mapping[str, VersionId]) -> Contest | None:
        """The same of aliases that are known."""
        return cls(model, standing[PRODUCTION], challengers(standing)) if PRODUCTION in standing else None

    @property
    def shares(self) -> int:
        """Among how many comparisons the error is shared out; a challenger without any record yet counts too."""
        return max(1, len(self.challengers))

    def sharing(self, terms: Terms, version: VersionId) -> Terms:
        """The terms for one version: where it is a challenger now, the error is shared with the others."""
        return replace(terms, challengers=self.shares) if version in self.challengers.values() else terms

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

    def side_by_side(self, found: EvidenceReader, terms: Terms, shown: Summary) -> Summary:
        """`shown`, with the figures of all challengers where there are several.

        Raises BadMeasure where one pair cannot be measured so.
        """
        if len(self.challengers) < 2 or shown.production.version != self.production:
            return shown
        summaries = {
            alias: shown if pair[1] == shown.staging else found.summary(pair, terms=terms)
            for alias, pair in self.pairs(found).items()
        }
        return replace(shown, challengers=tuple(challenger(*each) for each in summaries.items()))
