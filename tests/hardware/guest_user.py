"""Runs inside the virtual machine as root: is an ordinary user refused with a reason, and does the
remedy that `wattring doctor` prints to that user work when it is followed to the letter?

Prints one JSON document for rapl_vm.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

WATTRING = [sys.executable, "-m", "wattring"]
AS_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def as_user(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AS_USER, *WATTRING, *arguments], capture_output=True, text=True, check=False
    )


def follow(word: str) -> str:
    """Run the first command of doctor's advice that has the word, as root, without its sudo."""
    advice = as_user("doctor").stdout
    for line in advice.splitlines():
        command = re.search(r"sudo (.*)", line)
        if command and word in command[1]:
            subprocess.run(["sh", "-c", command[1]], check=True, capture_output=True)
            return command[0]
    raise SystemExit(f"doctor has no command with {word}:\n{advice}")


def main() -> None:
    wrong = []
    shown = []
    refused = as_user("stat", "--", "true")
    if refused.returncode != 125 or "Permission denied" not in refused.stderr:
        wrong.append(f"not refused as it should be: {refused.returncode} {refused.stderr}")
    if len(refused.stderr.strip().splitlines()) != 1:
        wrong.append(f"more than one line: {refused.stderr}")
    for source, word in (("rapl_perf", "sysctl"), ("rapl_powercap", "chmod a+r")):
        before = as_user("stat", "--sources", source, "--", "true")
        if before.returncode != 125:
            wrong.append(f"{source} was readable before the remedy")
        shown.append(follow(word))
        after = as_user("stat", "--sources", source, "--", "sleep", "0.2")
        if after.returncode != 0 or "package-0" not in after.stderr:
            wrong.append(f"{source} after '{shown[-1]}': {after.returncode} {after.stderr}")
    print(json.dumps({"wrong": wrong, "shown": "; ".join(shown)}))


if __name__ == "__main__":
    main()
