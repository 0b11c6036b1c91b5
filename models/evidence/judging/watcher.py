"""Keeps what MLflow shows of the comparisons in step with the records in a bucket."""

from __future__ import annotations

import structlog

from edge import metrics
from edge.log import MayQuoteRows
from ledger.names import ShadowKey
from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.summarise import USUAL_TERMS
from models.evidence.figures.summary import Summary
from models.evidence.figures.terms import Terms
from models.evidence.judging.contest import Contest
from models.evidence.judging.posting import Posting
from models.evidence.judging.question import learned, sizes
from models.evidence.pages.registry_page import RegistryPage
from models.evidence.record.comparison import Comparison
from models.evidence.record.pair import Version
from models.evidence.record.training import Learned
from models.evidence.sources.labels import label_objects
from models.evidence.sources.records import EvidenceReader, PairId, comparison_keys, newest
from models.registry.client import Registry, RegistryUnreachable
from models.registry.spec import Size
from transport.bucket import Bucket, BucketError

log = structlog.get_logger()


class Watcher:
    """Remembers what it has read and written: a look reads what is new and writes what has changed."""

    def __init__(self, bucket: Bucket, registry: Registry, page: RegistryPage, terms: Terms = USUAL_TERMS) -> None:
        self._bucket, self._registry, self._page = bucket, registry, page
        self._terms = terms
        self._posting = Posting(bucket)
        self._evidence: EvidenceReader | None = None
        self._read: set[ShadowKey] = set()
        self._stale: set[PairId] = set()
        self._contest: Contest | None = None
        self._sizes: dict[PairId, tuple[Size, Size]] = {}
        self._learned: dict[PairId, Learned] = {}

    def look(self) -> bool:
        """Reads what is new and writes what has changed; False where something could not be done until the next."""
        try:
            self._read_new()
        except BucketError as error:
            log.warning("bucket not read", error=str(error), consequence="read again at the next look")
            self._evidence = None
            return False
        try:
            self._write_stale()
        except RegistryUnreachable as error:
            metrics.REGISTRY_REACHABLE.set(0)
            log.warning("registry not written", error=str(error), consequence="written at the next look")
            return False
        finally:
            self._posting.write()
        metrics.LAST_LOOK.set_to_current_time()
        return True

    def _read_new(self) -> None:
        keys = comparison_keys(self._bucket)
        new = [key for key in keys if key not in self._read]
        known = self._evidence
        if (
            known is None
            or known.label_objects != label_objects(self._bucket)
            or not self._read <= set(keys)
            or self._takes_a_place(new)
        ):
            known, new = EvidenceReader(self._bucket, self._takes), keys
        self._stale |= known.add(new)
        for problem in known.bad_labels:
            log.warning("labels not used", error=MayQuoteRows(problem))
        known.bad_labels.clear()
        self._evidence, self._read = known, set(keys)

    def _takes_a_place(self, new: list[ShadowKey]) -> bool:
        """True where one is a re-scoring of what was read: of one content the newest scoring counts."""
        read: dict[tuple[str, int], int] = {}
        for key in self._read:
            content = key.name, key.generation.content
            read[content] = max(key.generation.rescore, read.get(content, 0))
        return any(
            key.generation.rescore > read.get((key.name, key.generation.content), key.generation.rescore) for key in new
        )

    def _takes(self, production: Version, staging: Version) -> bool:
        return production.name == staging.name == self._registry.model

    def _write_stale(self) -> None:
        if self._evidence is None:
            return
        pairs = self._evidence.pairs
        shown = self._follow_aliases(self._evidence)
        self._stale &= pairs.keys()
        for pair in sorted(self._stale, key=str):
            try:
                summary = self._judged(self._evidence, pair)
            except BadMeasure as error:
                log.warning("pair not judged", staging=pair[1].version, error=str(error))
            else:
                _tell(summary)
                if pair == shown:
                    self._posting.take(self._beside_others(self._evidence, summary))
                self._write(pairs, pair, summary)
            self._stale.discard(pair)

    def _judged(self, evidence: EvidenceReader, pair: PairId) -> Summary:
        """Raises BadMeasure where the pair cannot be measured on the watch's terms, RegistryUnreachable."""
        if pair not in self._sizes:
            self._sizes[pair] = sizes(self._registry, pair)
        training, unsaid = (self._learned[pair], ()) if pair in self._learned else learned(self._registry, pair)
        if not unsaid:
            self._learned[pair] = training
        terms = self._terms
        if self._contest is not None and pair[0].version == self._contest.production:
            terms = self._contest.sharing(terms, pair[1].version)
        return evidence.summary(pair, terms=terms, sizes=self._sizes[pair], learned=training, more_notes=unsaid)

    def _write(self, pairs: dict[PairId, Comparison], pair: PairId, summary: Summary) -> None:
        run_id, changed = self._page.keep_run(summary, pairs[pair].files.in_order())
        # A version that was compared with several says what the newest comparison came to.
        shown = pair == newest_of_staging(pairs, pair) and self._page.show_verdict(summary, run_id)
        metrics.REGISTRY_REACHABLE.set(1)
        if changed or shown:
            log.info(
                "verdict written",
                production=pair[0].version,
                staging=pair[1].version,
                verdict=str(summary.evidence.verdict),
                files=summary.files,
                rows_labelled=summary.rows["labelled"],
                run=run_id,
            )

    def _follow_aliases(self, evidence: EvidenceReader) -> PairId | None:
        """Gives the pair that is shown to all: the first challenger's, else the newest.

        Where other versions are challengers now, the error is shared otherwise: every verdict is looked at again.
        """
        now = Contest.now(self._registry)
        if now != self._contest:
            self._contest, self._stale = now, self._stale | evidence.pairs.keys()
        challengers = list(now.pairs(evidence).values()) if now else []
        if self._stale.intersection(challengers):  # they are shown side by side
            self._stale.add(challengers[0])
        return challengers[0] if challengers else newest({pair: of.last_event for pair, of in evidence.pairs.items()})

    def _beside_others(self, evidence: EvidenceReader, summary: Summary) -> Summary:
        if self._contest is None:
            return summary
        terms = self._contest.sharing(self._terms, summary.staging.version)
        return self._contest.side_by_side(evidence, terms, summary)


def _tell(summary: Summary) -> None:
    """Puts what a comparison comes to among the program's figures."""
    pair = (summary.production.version, summary.staging.version)
    rows = summary.rows["compared"]
    metrics.COMPARED.labels(*pair).set(rows)
    if summary.agreement is not None:
        metrics.AGREEMENT.labels(*pair).set(summary.agreement.value)
    if summary.evidence.looks:
        last = summary.evidence.looks[-1]
        metrics.LOG_E_VALUE.labels(*pair, "staging").set(last.log_e_staging)
        metrics.LOG_E_VALUE.labels(*pair, "production").set(last.log_e_production)


def newest_of_staging(pairs: dict[PairId, Comparison], pair: PairId) -> PairId | None:
    """Of the pairs with the same staging version the one whose last file is the newest."""
    return newest({each: of.last_event for each, of in pairs.items() if each[1].version == pair[1].version})
