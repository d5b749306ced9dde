"""Processes that do the same work in turns (worker.py says how they talk): that it is the same, and what it takes each.

Needs nothing but Python.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path

EQUAL = ("input_sha256", "tokens", "dtype", "device", "threads")
SLOW, FIRST_ROUNDS = 6, 3  # a side this many times slower than the fastest is timed in the first rounds only
LEAST_ROUNDS, MOST_ROUNDS = 5, 40


class UnequalWork(Exception):
    """What two sides do is not the same, so there is no figure."""


class Side:
    """A worker process, stopped except while it answers."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.info = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit code {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def ask(self, request):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def peak_memory(self):
        """Largest resident set in MB so far, mapped weights included."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def check_equal_work(sides):
    """Raises UnequalWork if two sides read other inputs, or compute in another type, on another device or more threads."""
    first = sides[0]
    for side in sides[1:]:
        for key in EQUAL:
            if side.info.get(key) != first.info.get(key):
                found, expected = side.info.get(key), first.info.get(key)
                raise UnequalWork(f"{side.name} has the {key} {found}, and {first.name} {expected}: not the same work")


def check_agreement(errors, limits):
    """Raises UnequalWork if a result's error, by side and result, is over its limit or not a number."""
    for side, found in errors.items():
        wrong = [f"{name}: {error:.1e}" for name, error in found.items() if not error <= limits[name]]
        if wrong:
            raise UnequalWork(f"the results of {side} differ from the reference, {', '.join(wrong)}: not the same work")


def interleave(sides, folder, verify, seconds, rounds=None):
    """Seconds of each run by side, the sides in turn: so many rounds, else what fits into `seconds`.

    verify(sides) raises for wrong results, which lie in the folder as SIDE.safetensors. It is asked after the first
    round, the last one and one in between that no side can foresee.
    """
    samples = {side.name: [] for side in sides}

    def one_round(active, checked):
        for side in active:
            request = f"output {folder / side.name}.safetensors" if checked else "run"
            samples[side.name].append(side.ask(request)["seconds"])
        if checked:
            verify(active)

    def not_slow():
        medians = {side.name: statistics.median(samples[side.name]) for side in sides}
        return [side for side in sides if medians[side.name] <= SLOW * min(medians.values())]

    one_round(sides, True)
    took = sum(samples[side.name][0] for side in not_slow())
    rounds = rounds or min(MOST_ROUNDS, max(LEAST_ROUNDS, int(seconds / took)))
    unforeseen = random.randrange(rounds)
    for number in range(1, rounds):
        one_round(sides if number < FIRST_ROUNDS else not_slow(), number in (unforeseen, rounds - 1))
    return samples


def quantile(values, share):
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def ratio_interval(samples, base, draws=2000, seed=1):
    """Median of samples over median of base, and the 95 % interval of it by bootstrap over the rounds both took part in."""
    pairs = list(zip(samples, base))
    ratio = lambda chosen: statistics.median(a for a, _ in chosen) / statistics.median(b for _, b in chosen)
    generator = random.Random(seed)
    drawn = [ratio(generator.choices(pairs, k=len(pairs))) for _ in range(draws)]
    return {"ratio": ratio(pairs), "low": quantile(drawn, 0.025), "high": quantile(drawn, 0.975)}


def summary(samples):
    shares = {"median_seconds": 0.5, "p10_seconds": 0.1, "p90_seconds": 0.9}
    return {name: quantile(samples, share) for name, share in shares.items()} | {"runs": len(samples), "seconds": samples}
