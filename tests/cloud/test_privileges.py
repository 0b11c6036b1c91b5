"""Least privilege: no call of a whole run needs more than the roles in docs/cloud.md, and each is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import ROOT, Program, surveys
from tests.cloud.house import House, Raw
from tests.cloud.privileges import Grant, Need, of_pubsub, of_storage
from tests.cloud.pubsub_proxy import PubSubProxy
from tests.cloud.test_hostile import notification
from tests.contract.fault_proxy import FaultProxy

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(900)]


def documented() -> dict[str, set[Grant]]:
    """Program → what docs/cloud.md grants its account."""
    text = (ROOT / "docs" / "cloud.md").read_text()
    block = text[text.index("**3. One service account") : text.index("| who | bucket |")]
    found: dict[str, set[Grant]] = {"worker": set(), "publisher": set()}
    accounts = re.search(r"for ACCOUNT in (.*); do", block)
    assert accounts is not None
    for binding in re.findall(r"gcloud storage buckets add-iam-policy-binding.*\\\n(?:.*\\\n)*.*", block):
        [role] = re.findall(r"--role=(\S+)", binding)
        only = re.search(r"startsWith\('\$OUTPUTS'\)", binding)
        assert only or "--condition=None" in binding
        for account in accounts[1].split():
            found[account.strip("$").lower()].add(Grant(role, "output/" if only else ""))
    for name, account, role in re.findall(r"^ +subscription (\S+) +\$(\S+) +(roles/\S+)", block, flags=re.M):
        found[account.lower()].add(Grant(role, name))
    for name, account, role in re.findall(
        r"gcloud pubsub topics add-iam-policy-binding (\S+) --member=serviceAccount:\$(\S+) --role=(\S+)", block
    ):
        found[account.lower()].add(Grant(role, name))
    assert sum(map(len, found.values())) == len(re.findall("roles/storage", block)) * 2 + len(
        re.findall("roles/pubsub", block)
    )
    return found


@dataclass
class Watched:
    """The two proxies that one account's calls go through."""

    storage: FaultProxy
    pubsub: PubSubProxy

    def start(self, house: House, program: str, *options: str) -> Program:
        house.environment |= {"STORAGE_EMULATOR_HOST": self.storage.url, "PUBSUB_EMULATOR_HOST": self.pubsub.host}
        return house.start(program, *options)

    def needs(self) -> set[Need]:
        found: set[Need] = set()
        for request in list(self.storage.requests):
            found |= of_storage(request)
        for called in list(self.pubsub.called):
            found |= of_pubsub(called)
        return found


@pytest.fixture
def watched(house: House) -> Iterator[dict[str, Watched]]:
    with ExitStack() as stack:
        yield {
            program: Watched(
                stack.enter_context(FaultProxy(house.storage.url)), stack.enter_context(PubSubProxy(house.pubsub_host))
            )
            for program in ("worker", "publisher")
        }


def test_no_call_needs_more_than_the_documented_roles_and_no_role_is_needless(
    house: House, watched: dict[str, Watched]
) -> None:
    worker, publisher = watched["worker"], watched["publisher"]
    house.provision("--min-backoff", "0s", "--max-backoff", "1s")
    small = surveys(3, 50)
    header, _, rows = surveys(1, 20_000)["part 000.csv"].partition(b"\n")

    def in_the_end(name: str, *statuses: Status) -> None:
        wait_for(lambda: [r.status for r in house.receipts(name)] == [*statuses], f"{name} {statuses}", 240, every=0.3)

    # When a file kills its scorers, and is given up
    running = publisher.start(house, "publisher", "--interval", "1s")
    bad = worker.start(house, "worker", "--processes", "1", "--score-seconds", "0.0001")
    bad.wait_for_log("worker ready", 180)
    house.upload({"poison.csv": small["part 000.csv"]})
    in_the_end("poison.csv", Status.DEAD_LETTERED)
    assert bad.end() == 0

    # And others are scored, rejected, superseded, replaced; one has outputs above the size of one request
    good = worker.start(house, "worker", "--processes", "1")
    good.wait_for_log("worker ready", 180)
    good.wait_for_log("version in force", 180, alias="staging")
    house.upload({"a.csv": small["part 000.csv"], "b.csv": b"no,such,columns\n1,2,3\n"})
    house.upload({"big.csv": header + b"\n" + rows * 13})
    in_the_end("a.csv", Status.SCORED)
    house.upload({"a.csv": small["part 001.csv"]})
    with Raw(house.names.topic) as raw:
        raw.publish([notification("c.csv", "1"), notification("../../x.csv", "1")])
    in_the_end("c.csv", Status.SUPERSEDED)
    in_the_end("b.csv", Status.REJECTED)
    in_the_end("a.csv", Status.SCORED, Status.SCORED)
    in_the_end("big.csv", Status.SCORED)
    good.wait_for_log("shadow compared", 240, file="big.csv")
    assert house.bucket.stat("output/pred_big.csv").size > 8 << 20  # type: ignore[union-attr]

    # And people look, and score again
    for command in ("publisher status", "publisher dead-letters", "publisher rescore --dead-lettered"):
        looked = publisher.start(house, command)
        assert looked.process.wait(60) == 0, looked.log.read_text()
    in_the_end("poison.csv", Status.DEAD_LETTERED, Status.SCORED)
    assert [program.end() for program in (good, running)] == [0, 0]
    once = publisher.start(house, "publisher", "--once")
    assert once.process.wait(60) == 0, once.log.read_text()

    # Then no call needed more than the documented roles
    for program, grants in documented().items():
        needs = watched[program].needs()
        print(program, sorted({need.permission for need in needs}))
        beyond = {need for need in needs if not any(grant.covers(need) for grant in grants)}
        assert beyond == set(), f"{program}: more than docs/cloud.md grants"

        # And without any one of them some call would have been refused
        for grant in grants:
            others = grants - {grant}
            missed = {need for need in needs if not any(other.covers(need) for other in others)}
            assert missed, f"{program} never needed {grant}"

    # And nothing was written but below output/
    for program in watched.values():
        written = {need for need in program.needs() if need.permission.split(".")[-1] in ("create", "delete", "update")}
        assert all(need.resource.startswith("output/") for need in written)
