"""Sets up the `namespaces` level, once per worker: new namespaces and a root file system of a few read-only folders.

Real root mounts first (the interpreter may be in a folder that only root can enter), then switches to another user id,
then enters the user namespace. Any other user enters the user namespace first, because that gives the right to mount.
Both end up as an ordinary user of a user namespace that maps nobody else, able to create further namespaces and nothing
more.
"""

import contextlib
import os
import stat
import sys
import types
from collections.abc import Mapping, Sequence

from harness.sandbox.isolation import syscalls

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
HOME = "/tmp"
# What there is to read in the new root; /proc is not among it.
INSIDE: tuple[str, ...] = ("/python", "/packages", *SYSTEM, *DEVICES)
_INSIDE_ID = 1000
_NAMESPACES = syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET
# In the new root. What is open is opened again through /proc, of which nothing else can be read or listed.
_LINKS = {
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/fd": "/proc/self/fd",
}


def library_folders() -> tuple[str, ...]:
    """The folders of this interpreter's standard library: `lib`, and `lib64` where the platform has one."""
    folders = {os.path.dirname(os.path.dirname(os.path.realpath(os.__file__)))}
    folders |= {os.path.join(os.path.realpath(sys.base_prefix), sys.platlibdir)}
    return tuple(sorted(folder for folder in folders if os.path.isdir(folder)))


def inside_packages(count: int) -> tuple[str, ...]:
    return tuple(f"/packages/{index}" for index in range(count))


def _inside_libraries() -> dict[str, str]:
    return {path: f"/python/{os.path.basename(path)}" for path in library_folders()}


def enter(packages: Sequence[str], uid: int, extra: Sequence[str] = ()) -> int | None:
    """Fork the zygote into new namespaces, of which it is process 1. The parent gets None and only has to wait for it.
    The zygote gets a descriptor of its /proc/self/statm, because it no longer has a /proc.

    `uid`: an unused user id for root to switch to, else 0. `extra`: further folders to read, each mounted under its own
    path. Raises OSError where the kernel refuses anything.
    """
    relocated = _inside_libraries()
    as_named = os.path.dirname(os.path.dirname(os.__file__))  # may be a link to one of them
    relocated.setdefault(as_named, f"/python/{os.path.basename(os.path.realpath(as_named))}")
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    if uid:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        if os.fork():
            return None
        _build_root(packages, extra)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # A process that switched its user id is not dumpable, and one that is not does not own its id maps.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        _enter_user_namespace(proc, _NAMESPACES)
    else:
        _enter_user_namespace(proc, _NAMESPACES | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        if os.fork():
            return None
        _build_root(packages, extra)
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    os.close(proc)
    syscalls.drop_bounding()
    _use_inside_paths(len(packages), relocated)
    return statm


def _enter_user_namespace(proc: int, flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | flags)
    # The kernel requires setgroups to be denied before an unprivileged process may map its group.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INSIDE_ID} {uid} 1"),
        ("gid_map", f"{_INSIDE_ID} {gid} 1"),
    ):
        fd = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _build_root(packages: Sequence[str], extra: Sequence[str]) -> None:
    """Build a small read-only root of bind mounts and pivot into it; the rest of the file system is then out of reach.

    The mount trees are cloned detached, so that no folder is left behind on the machine.
    """
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    mounts = {path: path for path in (*SYSTEM, *DEVICES) if os.path.exists(path) and not os.path.islink(path)}
    mounts |= {inside: path for path, inside in _inside_libraries().items()}
    mounts |= {f"/packages/{index}": path for index, path in enumerate(packages)}
    mounts |= {path: path for path in extra if not any(f"{path}/".startswith(f"{base}/") for base in SYSTEM)}
    named = (*SYSTEM, "/bin") if extra else SYSTEM
    links = _LINKS | {path: os.readlink(path) for path in named if os.path.islink(path)}
    trees = {target: _read_only_tree(source) for target, source in mounts.items()}
    syscalls.mount("tmpfs", HOME, "tmpfs", syscalls.MS_NOSUID, "size=1m,nr_inodes=256,mode=0755")
    os.chdir(HOME)
    for target, tree in trees.items():
        inside = HOME + target
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(inside, 0o755)
        else:
            os.makedirs(os.path.dirname(inside), 0o755, exist_ok=True)
            os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
        syscalls.attach_tree(tree, inside)
        os.close(tree)
    for target, goal in links.items():
        os.makedirs(os.path.dirname(HOME + target), 0o755, exist_ok=True)
        os.symlink(goal, HOME + target)
    os.mkdir(HOME + HOME, 0o777)
    os.mkdir(f"{HOME}/proc")
    _mount_proc(f"{HOME}/proc")
    # The old root is stacked on the new one and unmounted at once, so it needs no folder.
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID
    syscalls.mount("", "/", "", flags)


def _mount_proc(target: str) -> None:
    """A /proc of this pid namespace alone, for /dev/stdin and the like. Programs lack these where the kernel has no
    Landlock, because they could read the others of their worker there, or where a container may not mount one.
    """
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    if syscalls.landlock_abi():
        with contextlib.suppress(OSError):
            syscalls.mount("proc", target, "proc", flags, "hidepid=invisible,subset=pid")


def _read_only_tree(source: str) -> int:
    tree = syscalls.clone_tree(source)
    attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
    if source not in DEVICES:
        attributes |= syscalls.MOUNT_ATTR_NODEV
    syscalls.restrict_tree(tree, attributes)
    return tree


def _use_inside_paths(packages: int, relocated: Mapping[str, str]) -> None:
    """Make imports look where the new root has the modules. `relocated`: library folders, old path -> new path."""
    folder = f"python{sys.version_info.major}.{sys.version_info.minor}"
    homes = [f"/python/{name}/{folder}" for name in dict.fromkeys(("lib", sys.platlibdir))]
    library = [path for home in homes for path in (home, f"{home}/lib-dynload") if os.path.isdir(path)]
    sys.path[:] = [*library, *inside_packages(packages)]
    sys.path_importer_cache.clear()
    sys.prefix = sys.exec_prefix = sys.base_prefix = sys.base_exec_prefix = "/python"
    for module in list(sys.modules.values()):
        _relocate(module, relocated)


def _relocate(module: types.ModuleType, relocated: Mapping[str, str]) -> None:
    """Correct the paths of a module imported earlier: a package looks there for its submodules."""
    for old, new in relocated.items():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(f"{old}/"):
            module.__file__ = new + file.removeprefix(old)
        folders = getattr(module, "__path__", None)
        if isinstance(folders, list):
            folders[:] = [
                new + path.removeprefix(old) if path.startswith(f"{old}/") else path for path in folders
            ]


def scratch(megabytes: int, files: int) -> None:
    """Mount an empty file system of limited size for one program, in a mount namespace of its own."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", HOME, "tmpfs", flags, f"size={megabytes}m,nr_inodes={files},mode=0700")
