"""GPUs that a program sees are those that "auto" measures; what cannot be told is said."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import wait_rows
from fakes.power import true_j
from fakes.visible import FOUR, ORDER, UUID, VISIBLE, gpus_of, run, told
from wattring.visible import MIG_NOTE, Gpu, choose

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

SLICE = "MIG-fa4e0000-0000-4000-8000-0000000000"  # then its GPU and its place there
HANDLE = "nvmlDeviceGetHandleByIndex_v2"


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("0", [0]),
        ("2,1", [1, 2]),
        ("0,1,2,3", [0, 1, 2, 3]),
        # As in the CUDA programming guide: the list ends at what is invalid.
        ("0,2,-1,1", [0, 2]),
        ("3,4,0", [3]),
        ("-1", []),
        ("4", []),
        pytest.param("9" * 5000, [], id="huge"),
        ("NoDevFiles", []),  # Slurm's
        ("", []),
        (",0", []),
        ("1,none,0", [1]),
        # What PyTorch knows of CUDA's reading of numbers.
        ("1gpu,+3x", [1, 3]),
        (" 1, 2 ", [1, 2]),
        (f"{UUID}3", [3]),
        (f"{UUID}2,{UUID}0", [0, 2]),
        (f"{UUID}1,GPU-0bad,{UUID}0", [1]),
        (f"{UUID}1,bad,{UUID}0", [1]),
        ("GPU-fa4e", []),  # any of them
        (f"{SLICE}00", []),
    ],
)
def test_auto_measures_what_the_variable_names(
    machine: FakeMachine,
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    visible: list[int],
) -> None:
    nvml.configure(FOUR, sensor="counter=100")
    monkeypatch.setenv(VISIBLE, text)
    session = wr.Session(environment=nvml.environment(machine))
    assert gpus_of(session) == visible
    assert session.sources == ["rapl_msr", "nvml"] if visible else ["rapl_msr"]
    hidden = told(session, "hidden")
    left_out = [f"gpu-{i}" for i in range(4) if i not in visible] if visible else [""]
    assert [s.channel for s in hidden] == left_out
    for s in hidden:
        assert s.reason.startswith(f"{VISIBLE}=")
        assert (text or "''") in s.reason
        assert s.reason.endswith(" leaves it out")
        assert s.remedy == 'sources="all"'
    assert told(session, "ambiguous", "unresolved") == []


@pytest.mark.parametrize("sources", ["all", "nvml", ["nvml", "rapl_msr"]])
def test_what_is_asked_for_is_measured_whoever_sees_it(
    machine: FakeMachine,
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    sources: str | list[str],
) -> None:
    nvml.configure(FOUR, sensor="counter=100")
    monkeypatch.setenv(VISIBLE, "1")
    session = wr.Session(sources=sources, environment=nvml.environment(machine))
    assert gpus_of(session) == [0, 1, 2, 3]
    assert told(session, "hidden") == []
    expected = {"all": ["rapl_msr", "nvml"], "nvml": ["nvml"]}
    assert session.sources == (expected[sources] if isinstance(sources, str) else sources)


def test_without_the_variable_all_are_visible_and_nothing_is_looked_up(
    machine: FakeMachine, nvml: FakeNvml
) -> None:
    """Nor where the variable says nothing that would have to be looked up."""
    nvml.configure(FOUR, sensor="counter=100")
    program = """
        import os, sys, wattring as wr
        os.environ["NVIDIA_VISIBLE_DEVICES"] = "none"  # the container's business
        print(len(wr.Session().channels["nvml"]))
        os.environ["CUDA_VISIBLE_DEVICES"] = "1"
        print(len(wr.Session(sources="nvml").channels["nvml"]))
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        print(wr.Session().sources, "pynvml" in sys.modules)
    """
    done = run("-c", textwrap.dedent(program), env=nvml.variables(machine))
    assert done.stdout.split("\n") == ["4", "4", "['rapl_msr'] False", ""]


def test_the_energy_is_that_of_the_visible_gpu(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.configure("const:100,square:50:700:0.5,const:300", sensor="counter=100")
    monkeypatch.setenv(VISIBLE, "1")
    with wr.Session(environment=nvml.environment(machine)) as session:
        with session.window("w") as w:
            wait_rows(session, "nvml", 10)
        m = w.measurement
        header = session.trace().header
    low, high = m.bounds_j["gpu-1"]
    assert low <= true_j("square:50:700:0.5", m.t_begin_ns, m.t_end_ns) <= high
    assert {c for c in m.energy_j if c.startswith("gpu")} == {"gpu-1"}
    assert m.device["gpu-1"].startswith(f"{UUID}1, ")
    hidden = [s for s in header["skipped"] if s["code"] == "hidden"]
    assert [s["channel"] for s in hidden] == ["gpu-0", "gpu-2"]


def test_with_every_gpu_hidden_and_nothing_else_the_error_says_so(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.configure(FOUR, sensor="counter=100")
    env = nvml.environment(machine)
    env.sys = env.dev = str(machine.root / "nothing")
    monkeypatch.setenv(VISIBLE, "")
    with pytest.raises(wr.AbsentError, match=f"nvml: {VISIBLE}='' leaves it out") as absent:
        wr.Session(environment=env)
    assert absent.value.remedy == 'sources="all"'
    assert gpus_of(wr.Session(sources="all", environment=env)) == [0, 1, 2, 3]


NAMES = "NVIDIA A;NVIDIA A;NVIDIA B"


@pytest.mark.parametrize(
    ("text", "order", "visible"),
    [
        ("2", "PCI_BUS_ID", [2]),
        (f"{UUID}2", "", [2]),
        ("2,0,1", "", [0, 1, 2]),
        ("-1", "", []),
        ("3", "", []),
        ("2", "", None),
        ("0,1", "FASTEST_FIRST", None),
    ],
)
def test_an_index_on_a_mixed_machine_is_not_guessed(
    machine: FakeMachine,
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    order: str,
    visible: list[int] | None,
) -> None:
    nvml.configure("const:100,const:200,const:300", name=NAMES, sensor="counter=100")
    monkeypatch.setenv(VISIBLE, text)
    monkeypatch.setenv(ORDER, order)
    session = wr.Session(environment=nvml.environment(machine))
    if visible is not None:
        assert gpus_of(session) == visible
        assert told(session, "ambiguous") == []
        return
    assert gpus_of(session) == [0, 1, 2]
    (ambiguous,) = told(session, "ambiguous")
    assert ambiguous.channel == ""
    assert ambiguous.reason.startswith(f"{VISIBLE}={text} has indices")
    assert "NVIDIA A, NVIDIA B" in ambiguous.reason
    assert ambiguous.remedy == f"set {ORDER}=PCI_BUS_ID, or use UUIDs"
    assert told(session, "hidden") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "CUDA may not count gpu-1"),
        (f"{UUID}0,{UUID}1", f"{UUID}1, which may be gpu-1"),
        ("0,0", "has 0 twice"),
        (f"{UUID}2,2", "has 2 twice"),
        (f"{UUID}0,2", "mixes"),
    ],
)
def test_what_cuda_may_read_otherwise_is_not_guessed(
    machine: FakeMachine,
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    reason: str,
) -> None:
    """GPU 1 cannot be opened by this user; the others are measured, and so it is said."""
    nvml.configure("const:100,const:200,const:300", f"{HANDLE}@1=4", sensor="counter=100")
    env = nvml.environment(machine)
    monkeypatch.setenv(VISIBLE, text)
    session = wr.Session(environment=env)
    assert gpus_of(session) == [0, 2]
    (ambiguous,) = told(session, "ambiguous")
    assert reason in ambiguous.reason
    assert ambiguous.reason.endswith(": all GPUs are measured")
    assert ambiguous.remedy
    monkeypatch.setenv(VISIBLE, f"{UUID}2")
    session = wr.Session(environment=env)
    assert gpus_of(session) == [2]
    assert told(session, "ambiguous") == []


def test_prefixes_of_uuids() -> None:
    gpus = [Gpu("GPU-aa11", "A"), Gpu("GPU-aa22", "A"), Gpu("GPU-bb11", "A")]
    for entries, chosen in (
        (["GPU-b"], ["GPU-bb11"]),
        (["GPU-aa2", "GPU-b"], ["GPU-aa22", "GPU-bb11"]),
        (["GPU-b", "GPU-aa", "GPU-aa1"], ["GPU-bb11"]),
        (["GPU-aa11", "GPU-aa111"], ["GPU-aa11"]),
        (["GPU-"], []),
    ):
        assert list(choose(entries, gpus, by_bus=False)) == chosen


def test_slices_are_looked_up_in_their_gpu(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of GPU 1, which has two slices with a hole between, and of GPU 2, which has one."""
    nvml.configure("const:100,const:200,const:300", mig="1:2,2:1", sensor="counter=100")
    env = nvml.environment(machine)
    for text, visible in (
        (f"{SLICE}10", [1]),
        (f"{SLICE}12", [1]),
        (f"{SLICE}10,{SLICE}12", [1]),
        (f"{SLICE}2", [2]),
        (f"{SLICE}12,{SLICE}20", [1, 2]),
        (f"{SLICE}1", []),  # either of two
        (f"{SLICE}11", []),  # the hole
        (f"{SLICE}20,{SLICE}99,{SLICE}10", [2]),
        (f"MIG-{UUID}1/7/0", [1]),
        (f"MIG-{UUID}2/1/0,MIG-{UUID}1/0/0", [1, 2]),
        (f"MIG-{UUID}0/1/0", []),  # not in MIG mode
        (f"MIG-{UUID}1/x", []),
        (f"{UUID}1", [1]),
        (f"{UUID}0", [0]),
    ):
        monkeypatch.setenv(VISIBLE, text)
        session = wr.Session(environment=env)
        assert gpus_of(session) == visible, text
        assert told(session, "ambiguous", "unresolved") == []
        for channel in session.channels.get("nvml", []):
            assert channel.note.endswith(f"; {MIG_NOTE}") == (channel.name != "gpu-0"), text
        del session


def test_a_gpu_in_mig_mode_by_its_index(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among others that are not, its index may be another to CUDA; the note is there either way."""
    monkeypatch.setenv(VISIBLE, "1")
    nvml.configure("const:100,const:200", mig="0:1,1:2", sensor="counter=100")
    env = nvml.environment(machine)
    with wr.Session(environment=env) as session:
        assert gpus_of(session) == [1]
        t0_ns = wr.now_ns()
        wait_rows(session, "nvml", 2)
        measured = session.energy(t0_ns, wr.now_ns())
    assert any(note.endswith(MIG_NOTE) for note in measured.notes["gpu-1"])
    del session
    nvml.configure("const:100,const:200", mig="1:2", sensor="counter=100")
    session = wr.Session(environment=env)
    assert gpus_of(session) == [0, 1]
    (ambiguous,) = told(session, "ambiguous")
    assert "some GPUs are in MIG mode" in ambiguous.reason
    assert [MIG_NOTE in c.note for c in session.channels["nvml"]] == [False, True]


@pytest.mark.parametrize(
    ("arch", "failures"), [("8", ""), ("9", "nvmlDeviceGetMigMode=13")], ids=["part", "driver"]
)
def test_what_has_no_slices_at_all(
    machine: FakeMachine,
    nvml: FakeNvml,
    monkeypatch: pytest.MonkeyPatch,
    arch: str,
    failures: str,
) -> None:
    nvml.configure(FOUR, failures, arch=arch)
    monkeypatch.setenv(VISIBLE, "2")
    session = wr.Session(environment=nvml.environment(machine))
    assert gpus_of(session) == [2]
    assert told(session, "ambiguous") == []


def test_a_slice_that_may_not_be_asked_for(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml.configure(
        "const:100,const:200",
        "nvmlDeviceGetMigDeviceHandleByIndex@1=4",
        mig="1:2",
        sensor="counter=100",
    )
    monkeypatch.setenv(VISIBLE, f"{SLICE}10")
    session = wr.Session(environment=nvml.environment(machine))
    assert gpus_of(session) == [0, 1]
    (ambiguous,) = told(session, "ambiguous")
    assert "which may be gpu-1" in ambiguous.reason
