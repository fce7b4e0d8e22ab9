import CLinux

/// The memory of this process, which holds secrets.
package enum ProcessMemory {
    /// Hides memory, environment and descriptors from other processes, also from those of the same user (prctl(2),
    /// `PR_SET_DUMPABLE`). A crash leaves no core and no backtrace. Call before the first secret is read.
    package static func hide() { clinux_forbid_tracing() }
}
