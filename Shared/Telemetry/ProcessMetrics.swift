import Glibc

extension Metrics {
    /// The names every Prometheus client library uses for the process itself.
    package func addProcessMetrics() {
        gauge("process_resident_memory_bytes", help: "Resident memory size in bytes.") { ProcessFacts.residentBytes() }
        counter("process_cpu_seconds_total", help: "User and system CPU time spent in seconds.") { ProcessFacts.cpuSeconds() }
        gauge("process_open_fds", help: "Open file descriptors.") { ProcessFacts.openDescriptors() }
        gauge("process_max_fds", help: "Maximum number of open file descriptors.") { ProcessFacts.descriptorsMax() }
        let started = ProcessFacts.startedAt()
        gauge("process_start_time_seconds", help: "Start time of the process since the Unix epoch in seconds.") { started }
    }
}

enum ProcessFacts {
    static func residentBytes() -> Double {
        let pages = readFile("/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    static func openDescriptors() -> Double {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return Double(count - 3)  // ".", ".." and the directory itself
    }

    static func descriptorsMax() -> Double {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Double(limit.rlim_cur)
    }

    /// proc(5): field 22 of stat is the start in clock ticks after boot; the name in field 2 may hold spaces.
    static func startedAt() -> Double {
        let stat = readFile("/proc/self/stat")
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        let ticks = fields.count > 20 ? Double(fields[20]) ?? 0 : 0
        var boot = timespec()
        var wall = timespec()
        clock_gettime(CLOCK_BOOTTIME, &boot)
        clock_gettime(CLOCK_REALTIME, &wall)
        return Double(wall.tv_sec - boot.tv_sec) + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func readFile(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        return String(unsafeUninitializedCapacity: 1_024) { max(0, read(descriptor, $0.baseAddress, 1_024)) }
    }
}
