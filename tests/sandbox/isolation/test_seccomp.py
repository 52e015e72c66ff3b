"""The filter of system calls: every call has the answer that the tables say, on both architectures."""

import struct

import pytest

from harness.sandbox.isolation import seccomp, syscalls


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("shared", [False, True])
def test_every_jump_of_the_filter_lands_inside_it(machine: str, shared: bool) -> None:
    program = seccomp.instructions(7, shared, machine)
    for at, (code, yes, no, k) in enumerate(program):
        if code & 7 == 5:
            assert at + 1 + max(yes, no, k if code == 5 else 0) < len(program)
            assert max(yes, no) <= 255


def answer(
    program: list[seccomp.Instruction],
    number: int,
    *arguments: int,
    arch: int = 0xC000003E,
    steps: list[int] | None = None,
) -> int:
    """What the kernel would answer: the filter run by hand. `steps`: gets the place of each instruction run."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *[0] * (6 - len(arguments))))
    value, at = 0, 0
    while True:
        code, yes, no, k = program[at]
        if steps is not None:
            steps.append(at)
        at += 1
        match code:
            case 0x05:
                at += k
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x15:
                at += yes if value == k else no
            case 0x35:
                at += yes if value >= k else no
            case 0x45:
                at += yes if value & k else no
            case _:
                return k


ALLOW, KILL, DENY, NOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (0, (), ALLOW),
        (1, (), ALLOW),
        (56, (0x00010500,), ALLOW),
        (56, (0x00010100,), DENY),  # a thread with descriptors of its own
        (56, (17,), DENY),
        (57, (), DENY),
        (59, (), DENY),
        (435, (), NOSYS),
        (53, (1,), ALLOW),
        (53, (2,), DENY),
        (41, (2,), DENY),
        (157, (1, 0), DENY),
        (157, (4, 0), DENY),  # not dumpable: what it has open could not be counted
        (157, (15,), ALLOW),
        (302, (0,), ALLOW),
        (302, (1,), DENY),
        (62, (7, 9), ALLOW),
        (62, (8, 9), DENY),
        (62, (0xFFFFFFFF, 9), DENY),
        (234, (7, 9), ALLOW),
        (16, (0, 0x5412), DENY),
        (16, (0, 0x5401), ALLOW),
        (101, (), DENY),
        (319, (), DENY),
        (0x40000000 + 41, (), KILL),
        (90, (), ALLOW),
        (253, (), DENY),
        (206, (), DENY),
        (73, (), DENY),
        (72, (0, 8), DENY),
        (72, (0, 4), ALLOW),
        (16, (0, 0x8901), DENY),
        (10_000, (), ALLOW),
    ],
)
def test_the_filter_answers_each_call_as_it_should(
    number: int, arguments: tuple[int, ...], expected: int
) -> None:
    assert answer(seccomp.instructions(7, False, "x86_64"), number, *arguments) == expected


def test_a_call_from_another_architecture_is_killed() -> None:
    assert answer(seccomp.instructions(7, False, "x86_64"), 0, arch=0x40000003) == KILL


def test_on_the_machines_own_files_attributes_seem_to_change_and_do_not() -> None:
    program = seccomp.instructions(7, True, "x86_64")
    assert answer(program, 90) == answer(program, 469) == 0x00050000


@pytest.mark.parametrize("children", [False, True])
@pytest.mark.parametrize("request_", [0x40086602, 0x40046602, 0x401C5820, 0x40087602, 0x40806685, 0x800C6613])
def test_flags_of_the_machines_own_folders_cannot_be_set(request_: int, children: bool) -> None:
    """They would stay on the folder that all programs of a worker share."""
    shared, own = (seccomp.instructions(7, files, "x86_64", children=children) for files in (True, False))
    assert answer(shared, 16, 0, request_) == DENY
    assert answer(own, 16, 0, request_) == ALLOW


@pytest.mark.parametrize("children", [False, True])
@pytest.mark.parametrize("request_", [0x40305824, 0x40305828, 0x4030582A, 0x40305829, 0x4030582B, 0x40305839])
def test_space_is_not_reserved_by_ioctl_where_the_folder_is_watched(request_: int, children: bool) -> None:
    """FS_IOC_RESVSP and its kin are answered as fallocate is, EOPNOTSUPP."""
    shared, own = (seccomp.instructions(7, files, "x86_64", children=children) for files in (True, False))
    assert answer(shared, 16, 0, request_) == answer(shared, 285) == 0x0005005F
    assert answer(own, 16, 0, request_) == ALLOW
    assert answer(shared, 16, 0, 0x40305823) == answer(shared, 16, 0, 0x4030582C) == ALLOW


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_child_is_made_the_parents(machine: str, shared: bool) -> None:
    """CLONE_PARENT: it would be below nothing that is watched. clone3, whose flags nobody can read, is answered
    ENOSYS."""
    number, arch = {"x86_64": (56, 0xC000003E), "aarch64": (220, 0xC00000B7)}[machine]
    for children in (False, True):
        program = seccomp.instructions(7, shared, machine, children=children)
        assert answer(program, number, 0x8000 | 17, arch=arch) == DENY
        assert answer(program, number, 0x8000 | 0x10500, arch=arch) == DENY
        assert answer(program, number, 0x10500, arch=arch) == ALLOW
        assert answer(program, 435, arch=arch) == NOSYS
    assert answer(seccomp.instructions(7, shared, machine, children=True), number, 17, arch=arch) == ALLOW


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("children", [False, True])
def test_the_tree_answers_every_call_as_its_tables_say(machine: str, shared: bool, children: bool) -> None:
    """Each number by itself, with no tree: the bodies of the calls that have one, one after another."""
    column = list(seccomp._ARCH).index(machine)
    allowed = set(seccomp._STARTING_CALLS) if children else set()
    bodies = seccomp._denied(column, shared, allowed, children) | seccomp._checked(
        column, 7, shared, children
    )
    program = seccomp.instructions(7, shared, machine, children=children)
    steps = []
    for number in range(600):
        for arguments in [
            (),
            (7, 7),
            (8, 8),
            (0, 0x8902),
            (1, 10),
            (syscalls.CLONE_THREAD,),
            (0x10400,),
            (1 << 28,),
        ]:
            body = list(bodies.get(number, seccomp._ALLOWED))
            data = {"arch": seccomp._ARCH[machine]}
            assert answer(program, number, *arguments, **data) == answer(body, number, *arguments, **data)
        steps.append(taken(program, number, seccomp._ARCH[machine]))
    assert max(steps) <= 32


def taken(program: list[seccomp.Instruction], number: int, arch: int) -> int:
    """Instructions run for this call."""
    steps: list[int] = []
    answer([*program], number, arch=arch, steps=steps)
    return len(steps)


def test_a_fork_fills_in_its_own_process_id() -> None:
    filter_ = syscalls.Filter(seccomp.instructions(99, False, "x86_64"), 99)
    assert len(filter_._blanks) == 4  # prlimit and three signal calls
