"""The claims of the textbooks about networks, tried on CIFAR-10 at 32 px with an equal budget; writes docs/textbook.md.

Every network of a claim gets the same epochs of the same pictures through the product's own training (learn/loop.py). Finished
runs are kept in bench/results/textbook.json with their curves, one under way in SIGHTLINE_HOME: the same command goes on after
a kill. CIFAR is a folder with train/ and test/ (or train.tar.xz and test.tar.xz) of class folders.

    python bench/textbook.py CIFAR --measure                        # what an epoch of each network costs here
    python bench/textbook.py CIFAR --minutes 60                     # every claim, shared out; as many epochs as fit
    python bench/textbook.py CIFAR --minutes-each 2                 # as many epochs as take 2 minutes a network, on average
    python bench/textbook.py CIFAR --only residual,mobilenet --epochs 10 --pictures 20000 --seeds 3
    python bench/textbook.py CIFAR --search found.json              # `sightline train CIFAR --search tpe --json` beside them
    python bench/textbook.py --page-only                            # the page again, from the kept runs
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

from claims import page
from claims.book import CLAIMS, Claim
from claims.runs import SIZE, Book, Budget, epoch_cost, forget, key, network, pictures, runs_folder, size_of, train
from harness import RESULTS, machine, versions
from sightline.errors import StoppedError
from sightline.learn.step import TrainingData
from sightline.settings import settings

DOCS = Path(__file__).parent.parent / "docs" / "textbook.md"


def chosen(only: str) -> list[Claim]:
    """The claims named, by a claim's name or the beginning of a network's."""
    words = [word for word in only.split(",") if word]
    unknown = [word for word in words if not any(_named(claim, word) for claim in CLAIMS)]
    if unknown:
        raise SystemExit(f"no claim is called {', '.join(unknown)}; there are {', '.join(claim.name for claim in CLAIMS)}")
    return [claim for claim in CLAIMS if not words or any(_named(claim, word) for word in words)]


def _named(claim: Claim, word: str) -> bool:
    return claim.name == word or any(name.startswith(word) for name in claim.networks)


def measured(claims: list[Claim], data: TrainingData, out: Path) -> None:
    """Print and keep seconds of an epoch of each network; nothing is trained."""
    rows = {}
    print(f"{machine()}, {settings().threads} threads, {versions('torch')}; an epoch of {len(data.images)} pictures")
    for claim in claims:
        for name in claim.networks:
            wall, busy = time.perf_counter(), time.process_time()
            seconds = epoch_cost(name, data, claim.plan)
            part = (time.process_time() - busy) / (time.perf_counter() - wall)  # of a thread that we had: the rest was others'
            parameters, adds = size_of(name, network(name, 0, 10))
            rows[name] = {
                "epoch_seconds": seconds,
                "processor_seconds": seconds * part,
                "parameters": parameters,
                "multiply_adds": adds,
            }
            times = f"{seconds:8.1f} s, {seconds * part:8.1f} s of processor"
            print(f"{name:20} {parameters / 1e6:7.2f} M {adds / 1e6:7.0f} M {times}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine(), "pictures": len(data.images), "rows": rows}, indent=1))


def budget_of(claim: Claim, options: argparse.Namespace, data: TrainingData, book: Book) -> Budget:
    """What was wished, as epochs; a wish that was measured once is not measured again, so that a resumed bench is the same."""
    wish = {name: getattr(options, name) for name in ("minutes", "minutes_each", "epochs", "pictures", "val", "seeds")}
    kept = book.budgets.get(claim.name)
    if kept and kept["wish"] == wish:
        return Budget(**kept["budget"])
    epochs = options.epochs
    if not epochs:
        costs = [epoch_cost(name, data, claim.plan) for name in claim.networks]
        each = options.minutes_each * len(costs) * options.seeds
        minutes = options.minutes * claim.share / sum(one.share for one in chosen(options.only)) if options.minutes else each
        epochs = max(1, int(minutes * 60 / (sum(costs) * options.seeds)))
        print(
            f"{claim.name}: {sum(costs):.0f} s for an epoch of all {len(costs)} networks, so {epochs} epochs each", flush=True
        )
    budget = Budget(epochs, options.pictures, options.val, options.seeds)
    book.budgets[claim.name] = {"wish": wish, "budget": asdict(budget)}
    book.keep()
    return budget


def trained(claim: Claim, budget: Budget, data: TrainingData, book: Book) -> None:
    """Every run of a claim that is not in the book yet."""
    for seed in range(budget.seeds):
        for name in claim.networks:
            run = key(name, seed, claim.plan, budget)
            if run in book.runs:
                continue
            begun = time.monotonic()
            folder = runs_folder(run)
            done = train(name, seed, replace(claim.plan, epochs=budget.epochs), data, folder, machine())
            book.runs[run] = done
            book.keep()
            forget(folder)
            said = done.failed or f"{1 - done.val_error[-1]:.1%} on unseen pictures"
            print(f"{claim.name}: {name} seed {seed}: {said}, {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="claims or networks, with commas: residual, plain, mobilenet, ...")
    parser.add_argument("--epochs", type=int, default=0, help="of every network; without it --minutes-each decides")
    parser.add_argument("--minutes", type=float, default=0, help="for all claims and seeds together, by each claim's share")
    parser.add_argument("--minutes-each", type=float, default=2.0, help="for a network and seed, on average over a claim")
    parser.add_argument("--pictures", type=int, default=20_000, help="to train on, as many of each class")
    parser.add_argument("--val", type=int, default=5_000, help="pictures of the test part, for the curves")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS / "textbook.json")
    parser.add_argument("--page", type=Path, default=DOCS, help="where the page goes; its plots lie in pictures/ beside it")
    parser.add_argument("--search", type=Path, help="what `sightline train --search ... --json` printed, for the fifth claim")
    parser.add_argument("--measure", action="store_true", help="only the cost of an epoch of each network")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    book = Book(options.results)
    if options.search:
        book.search = json.loads(options.search.read_text())
        book.keep()
    if options.cifar and not options.page_only:
        claims = chosen(options.only)
        data = pictures(options.cifar, options.pictures, options.val)
        if options.measure:
            measured(claims, data, options.results.with_name("textbook-costs.json"))
            return
        try:
            for claim in claims:
                trained(claim, budget_of(claim, options, data, book), data, book)
                page.write(options.page, book)
        except StoppedError as stopped:
            raise SystemExit(f"{stopped}: the same command goes on") from stopped
    elif not (options.page_only or options.search):
        parser.error("which CIFAR-10? Give a folder with train/ and test/")
    page.write(options.page, book)
    print(f"wrote {options.page}, pictures of {SIZE} px")


if __name__ == "__main__":
    main()
