"""Several challengers of one production version, side by side."""

from __future__ import annotations

from models.evidence.figures.summary import ChallengerFigures, Summary


def challenger(alias: str, summary: Summary) -> ChallengerFigures:
    """One of them, from the summary of its pair."""
    evidence = summary.evidence
    last = evidence.looks[-1] if evidence.looks else None
    return ChallengerFigures(
        alias=alias,
        version=summary.staging.version,
        verdict=str(evidence.verdict),
        rows=last.rows if last else 0,
        production=evidence.measure.production,
        staging=evidence.measure.staging,
        difference=last.difference if last else None,
        low=last.low if last else None,
        high=last.high if last else None,
        log_e_staging=max((look.log_e_staging for look in evidence.looks), default=0.0),
        log_e_production=max((look.log_e_production for look in evidence.looks), default=0.0),
        agreement=summary.agreement.value if summary.agreement else None,
        doubts=summary.seen_before.doubts,
    )
