"""How it is looked up which GPUs are visible: the library, forks, ranks, the command line."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.compiling import compile_shared
from fakes.visible import FOUR, ORDER, UUID, VISIBLE, gpus_of, run, told
from wattring.visible import seen

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml


def unresolved(session: wr.Session) -> wr.Skipped:
    assert gpus_of(session) == [0, 1, 2, 3]
    assert told(session, "hidden", "ambiguous") == []
    (found,) = told(session, "unresolved")
    assert found.reason.startswith(f"{VISIBLE}=1 cannot be looked up (")
    assert found.reason.endswith("): all GPUs are measured")
    return found


def test_what_cannot_be_looked_up_is_measured_and_said(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VISIBLE, "1")
    env = nvml.environment(machine)
    nvml.configure(FOUR, "nvmlInitWithFlags=999")  # pynvml's way to initialise it
    found = unresolved(wr.Session(environment=env))
    assert "Unknown Error" in found.reason
    assert "nvidia-smi" in found.remedy
    nvml.configure(FOUR, sensor="counter=100")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pynvml", None)
        found = unresolved(wr.Session(environment=env))
    assert found.remedy == "pip install nvidia-ml-py"
    # What pynvml has found is not what the source reads.
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    env.nvml = str(compile_shared(source, tmp_path / "libother.so.1"))
    with seen(env, ["auto"]) as (visible, skipped):
        assert visible is None
    assert "pynvml has another library" in skipped[0].reason
    assert nvml.users == 0


def test_where_there_are_no_gpus_nothing_more_is_said(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "1")
    nvml.configure(FOUR, "nvmlInit_v2=9,nvmlInitWithFlags=9")
    env = nvml.environment(machine)
    for library in (env.nvml, "libnvidia-ml-of-nobody.so.1"):
        env.nvml = library
        session = wr.Session(environment=env)
        assert [s.code for s in session.skipped if s.source == "nvml"] == ["absent"]


def test_a_program_that_uses_nvml_itself_is_not_disturbed(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, n: Any
) -> None:
    nvml.configure(FOUR, sensor="counter=100")
    env = nvml.environment(machine)
    n.nvmlInit()
    handle = n.nvmlDeviceGetHandleByIndex(3)
    monkeypatch.setenv(VISIBLE, "1")
    session = wr.Session(environment=env)
    assert nvml.users == 2  # the program and the source
    del session
    assert nvml.users == 1
    assert n.nvmlDeviceGetUUID(handle) == f"{UUID}3"
    n.nvmlShutdown()
    assert nvml.users == 0


def test_the_library_stays_initialised_until_the_source_has_it(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two users a driver may put a GPU down, which costs seconds; and after errors none."""
    nvml.configure(FOUR, sensor="counter=100")
    env = nvml.environment(machine)
    monkeypatch.setenv(VISIBLE, "1")
    with seen(env, ["auto"]) as (visible, unknown):
        assert nvml.users == 1
        assert visible == (f"{VISIBLE}=1", {f"{UUID}1": ""})
        assert unknown == []
    assert nvml.users == 0
    with pytest.raises(KeyError), seen(env, ["auto"]):
        raise KeyError("while it is opened")
    assert nvml.users == 0
    nvml.configure(FOUR, "nvmlDeviceGetCount_v2=999")
    session = wr.Session(environment=env)
    assert session.sources == ["rapl_msr"]
    assert nvml.users == 0


def test_15_a_forked_child_has_a_look_of_its_own(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 15: whatever the parent has opened, and is opening, when it forks."""
    nvml.configure(FOUR, sensor="counter=100")
    program = """
        import os, threading, wattring as wr

        def gpus():
            session = wr.Session()
            return [c.name for c in session.channels["nvml"]], [s.code for s in session.skipped]

        def in_child(text, expected):
            child = os.fork()
            if child == 0:
                os.environ["CUDA_VISIBLE_DEVICES"] = text
                os._exit(gpus()[0] != expected)
            assert os.waitpid(child, 0)[1] == 0

        os.environ["CUDA_VISIBLE_DEVICES"] = "1"
        stop, errors = threading.Event(), []
        wr.Session  # no child gets over a fork in the middle of this import; of pynvml's it must
        def look():
            while not stop.is_set():
                names, codes = gpus()
                if names != ["gpu-1"] or "unresolved" in codes:
                    errors.append((names, codes))
        threads = [threading.Thread(target=look) for _ in range(2)]
        for t in threads:
            t.start()
        for _ in range(20):
            in_child("3,0", ["gpu-0", "gpu-3"])
        stop.set()
        for t in threads:
            t.join()
        with wr.Session() as own:
            in_child("2", ["gpu-2"])
        print(gpus()[0], errors)
    """
    done = run("-c", textwrap.dedent(program), env=nvml.variables(machine))
    assert done.stdout == "['gpu-1'] []\n", done.stderr


def test_26_ranks_that_share_a_node_measure_each_its_own_gpu(
    machine: FakeMachine, nvml: FakeNvml
) -> None:
    """PITFALLS 26: four ranks do not report four times the node's GPUs."""
    nvml.configure(FOUR, sensor="counter=100")
    program = """
        import wattring as wr
        measurement = wr.measure(int, period="20ms").measurement
        print(*[c for c in measurement.energy_j if c.startswith("gpu")])
    """
    measured = [
        run(
            "-c",
            textwrap.dedent(program),
            env=nvml.variables(machine) | {VISIBLE: str(rank)},
        ).stdout
        for rank in range(4)
    ]
    assert measured == [f"gpu-{rank}\n" for rank in range(4)]


def test_the_command_line(machine: FakeMachine, nvml: FakeNvml) -> None:
    nvml.configure("const:100,const:200", name="NVIDIA A;NVIDIA B", sensor="counter=100")
    env = nvml.variables(machine) | {VISIBLE: f"{UUID}1"}
    stat = ("-m", "wattring", "stat", "--json")
    for extra, channels, hidden in (
        ((), ["gpu-1"], ["gpu-0"]),
        (("--sources", "all"), ["gpu-0", "gpu-1"], []),
    ):
        document = json.loads(run(*stat, *extra, "--", "true", env=env).stderr)
        energies = document["runs"][0]["energy_j"]
        assert [c for c in energies if c.startswith("gpu")] == channels
        assert [s["channel"] for s in document["skipped"] if s["code"] == "hidden"] == hidden
    table = run("-m", "wattring", "stat", "--", "true", env=env).stderr
    assert f"not used: gpu-0 ({VISIBLE}={UUID}1 leaves it out); --sources all" in table
    assert "(hidden)" not in table
    table = run("-m", "wattring", "stat", "--", "true", env=env | {VISIBLE: "1"}).stderr
    assert f"nvml: {VISIBLE}=1 has indices" in table
    assert f"set {ORDER}=PCI_BUS_ID" in table
    usage = run("-m", "wattring", "stat", "--help", env=env).stdout
    assert "all: the same and every GPU" in " ".join(usage.split())


def test_doctor_and_list_show_the_whole_machine(
    machine: FakeMachine, nvml: FakeNvml, tmp_path: Path
) -> None:
    nvml.configure("const:100,const:200", sensor="counter=100")
    shutil.rmtree(machine.root / "dev")
    shutil.rmtree(machine.root / "sys")
    env = nvml.variables(machine) | {VISIBLE: ""}
    doctor = json.loads(run("-m", "wattring", "doctor", "--json", env=env).stdout)
    assert list(doctor["refresh"]["nvml"]) == ["gpu-0", "gpu-1"]
    listed = run("-m", "wattring", "list", env=env).stdout
    assert " gpu-1 " in listed
