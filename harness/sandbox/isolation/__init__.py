"""What the kernel enforces: namespaces, Landlock, seccomp, limits, memory of process trees, processor affinity."""
