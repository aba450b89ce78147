"""`python -m slurm_tasks.demo.waldur`: the simulator as a process of its own."""

import argparse
import json
import signal
import sys
import threading

from slurm_tasks.demo.waldur.server import WaldurSimulator


def seed(waldur: WaldurSimulator) -> None:
    """Fill the simulator with a customer, a project and its people."""
    university = waldur.add_customer("University A")
    folding = waldur.add_project(university, "Protein Folding")
    for username in ("alice", "bob", "carol"):
        user = waldur.add_user(username)
        waldur.add_member(folding, user)
        waldur.set_username(user, f"{username}01")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m slurm_tasks.demo.waldur")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: a free one)")
    parser.add_argument("--generation", choices=("a", "b"), default="b")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with WaldurSimulator(options.generation, port=options.port) as waldur:
        seed(waldur)
        ready = {
            "url": waldur.url,
            "token": waldur.token,
            "offering_uuid": waldur.offering_uuid,
            "customer_token": waldur.token_of("customer"),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
