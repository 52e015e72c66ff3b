"""The strongest level's set-up, once a worker: new namespaces and a root file system of a few read-only
folders.

As real root the mounts are made first (an interpreter may lie where only root may look), then the identity
changes, then the user namespace is entered. Anybody else enters the user namespace first, for it gives the
right to mount. Both end as a plain user of a user namespace that maps nobody else, able to make further
namespaces and nothing more.
"""

import os
import stat
import sys
import types
from collections.abc import Mapping, Sequence

from harness.sandbox.isolation import syscalls

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
HOME = "/tmp"
_INSIDE_ID = 1000
_OTHERS = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET


def library_folders() -> tuple[str, ...]:
    """The folders of this interpreter's own library: `lib`, and `lib64` where the platform has one."""
    folders = {os.path.dirname(os.path.dirname(os.path.realpath(os.__file__)))}
    folders |= {os.path.join(os.path.realpath(sys.base_prefix), sys.platlibdir)}
    return tuple(sorted(folder for folder in folders if os.path.isdir(folder)))


def _inside_libraries() -> dict[str, str]:
    return {path: f"/python/{os.path.basename(path)}" for path in library_folders()}


def enter(packages: Sequence[str], uid: int, also: Sequence[str] = ()) -> tuple[int, int] | None:
    """Fork the zygote into namespaces of its own. The parent gets None and has only to wait for it; the
    zygote gets a descriptor of its pid namespace, which it needs to come back from each program's, and one
    of its /proc/self/statm, for there is no /proc any more.

    `uid`: a throw-away identity for root to change to, else 0. `also`: further folders to read,
    each at its own place. Raises OSError where the kernel refuses anything.
    """
    moved = _inside_libraries()
    called = os.path.dirname(os.path.dirname(os.__file__))  # may lead there by a link
    moved.setdefault(called, f"/python/{os.path.basename(os.path.realpath(called))}")
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    if uid:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        _build_root(packages, also)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # A changed identity makes a process undumpable, and an undumpable one does not own its own id maps.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        _enter_user_namespace(proc, _OTHERS)
    else:
        _enter_user_namespace(proc, _OTHERS | syscalls.CLONE_NEWNS)
        _build_root(packages, also)
    if os.fork():
        return None
    own = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    os.close(proc)
    syscalls.drop_bounding()
    _use_inside_paths(len(packages), moved)
    return own, statm


def _enter_user_namespace(proc: int, others: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | others)
    # Kernels want setgroups given up before an unprivileged process may map its group.
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


def _build_root(packages: Sequence[str], also: Sequence[str]) -> None:
    """Make a small read-only root of bind mounts and move into it; nothing else of the machine has a name
    any more.

    The trees are copied while detached, so no folder is left anywhere on the machine.
    """
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    places = {path: path for path in (*SYSTEM, *DEVICES) if os.path.exists(path) and not os.path.islink(path)}
    places |= {inside: path for path, inside in _inside_libraries().items()}
    places |= {f"/packages/{index}": path for index, path in enumerate(packages)}
    places |= {path: path for path in also if not any(f"{path}/".startswith(f"{base}/") for base in SYSTEM)}
    named = (*SYSTEM, "/bin") if also else SYSTEM
    links = {path: os.readlink(path) for path in named if os.path.islink(path)}
    trees = {place: _read_only_tree(source) for place, source in places.items()}
    syscalls.mount("tmpfs", HOME, "tmpfs", syscalls.MS_NOSUID, "size=1m,nr_inodes=256,mode=0755")
    os.chdir(HOME)
    for place, tree in trees.items():
        inside = HOME + place
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(inside, 0o755)
        else:
            os.makedirs(os.path.dirname(inside), 0o755, exist_ok=True)
            os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
        syscalls.attach_tree(tree, inside)
        os.close(tree)
    for place, goal in links.items():
        os.makedirs(os.path.dirname(HOME + place), 0o755, exist_ok=True)
        os.symlink(goal, HOME + place)
    os.mkdir(HOME + HOME, 0o777)
    # The old root lands on top of the new one and is taken off at once: no folder for it is needed.
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID
    syscalls.mount("", "/", "", flags)


def _read_only_tree(source: str) -> int:
    tree = syscalls.clone_tree(source)
    attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
    if source not in DEVICES:
        attributes |= syscalls.MOUNT_ATTR_NODEV
    syscalls.restrict_tree(tree, attributes)
    return tree


def _use_inside_paths(packages: int, moved: Mapping[str, str]) -> None:
    """From here on modules are found where the new root has them. `moved`: library folders, old to new."""
    folder = f"python{sys.version_info.major}.{sys.version_info.minor}"
    homes = [f"/python/{name}/{folder}" for name in dict.fromkeys(("lib", sys.platlibdir))]
    library = [path for home in homes for path in (home, f"{home}/lib-dynload") if os.path.isdir(path)]
    sys.path[:] = [*library, *(f"/packages/{index}" for index in range(packages))]
    sys.path_importer_cache.clear()
    sys.prefix = sys.exec_prefix = sys.base_prefix = sys.base_exec_prefix = "/python"
    for module in list(sys.modules.values()):
        _move(module, moved)


def _move(module: types.ModuleType, moved: Mapping[str, str]) -> None:
    """Tell a module imported earlier where its files are now: a package looks there for its submodules."""
    for old, new in moved.items():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(f"{old}/"):
            module.__file__ = new + file.removeprefix(old)
        folders = getattr(module, "__path__", None)
        if isinstance(folders, list):
            folders[:] = [
                new + path.removeprefix(old) if path.startswith(f"{old}/") else path for path in folders
            ]


def scratch(megabytes: int, files: int) -> None:
    """A private, bounded, empty file system for one program, in a mount namespace of its own."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", HOME, "tmpfs", flags, f"size={megabytes}m,nr_inodes={files},mode=0700")
