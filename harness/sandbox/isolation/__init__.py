"""What the kernel enforces: namespaces, Landlock, seccomp, limits; also usage of process trees and CPU affinity."""
