import CSodium

/// Argon2id as a PHC string, by libsodium. Each call burns tens of milliseconds and its memory: run it on a bounded pool.
package struct PasswordHashing: Sendable {
    package let passes: UInt64
    package let memoryKiB: Int

    /// OWASP's floor, and the work every log-in does: 19 MiB, two passes, one lane.
    package static let standard = PasswordHashing(passes: 2, memoryKiB: 19_456)

    package init(passes: UInt64, memoryKiB: Int) {
        precondition(sodium_init() >= 0, "libsodium did not start")
        self.passes = passes
        self.memoryKiB = memoryKiB
    }

    /// `$argon2id$v=19$m=…,t=…,p=1$salt$tag` with a fresh salt. Nil when the memory is not to be had.
    package func hash(_ password: [UInt8]) -> String? {
        var out = [CChar](repeating: 0, count: Int(crypto_pwhash_STRBYTES))
        let status = password.withUnsafeBytes { bytes in
            crypto_pwhash_str_alg(
                &out, bytes.assumingMemoryBound(to: CChar.self).baseAddress ?? UnsafePointer(Self.empty), UInt64(bytes.count), passes,
                memoryKiB * 1024, crypto_pwhash_ALG_ARGON2ID13)
        }
        return status == 0 ? String(decoding: out.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }

    /// Constant-time comparison. False for a string that is no Argon2id hash or asks for more than 256 MiB or 16 passes:
    /// a forged row must not be able to take the machine.
    package func verify(_ password: [UInt8], against hash: String) -> Bool {
        guard Self.isBounded(hash) else { return false }
        return password.withUnsafeBytes { bytes in
            crypto_pwhash_str_verify(
                hash, bytes.assumingMemoryBound(to: CChar.self).baseAddress ?? UnsafePointer(Self.empty), UInt64(bytes.count)) == 0
        }
    }

    /// True when `hash` was made with other parameters than these.
    package func needsRehash(_ hash: String) -> Bool {
        crypto_pwhash_str_needs_rehash(hash, passes, memoryKiB * 1024) != 0
    }

    private static func isBounded(_ hash: String) -> Bool {
        guard hash.utf8.count < Int(crypto_pwhash_STRBYTES) else { return false }
        let fields = hash.split(separator: "$", omittingEmptySubsequences: false)
        guard fields.count == 6, fields[0].isEmpty, fields[1] == "argon2id", fields[2] == "v=19" else { return false }
        var cost: [Substring: UInt32] = [:]
        for field in fields[3].split(separator: ",") {
            let parts = field.split(separator: "=")
            guard parts.count == 2, let value = UInt32(parts[1]) else { return false }
            cost[parts[0]] = value
        }
        guard let memory = cost["m"], let passes = cost["t"], let lanes = cost["p"] else { return false }
        return memory <= 262_144 && passes <= 16 && lanes <= 4
    }

    // An empty array has no address to give, and libsodium wants one.
    nonisolated(unsafe) private static let empty: UnsafeMutablePointer<CChar> = {
        // nonisolated(unsafe): written here once, read never: its length is always given as 0.
        let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
        pointer.pointee = 0
        return pointer
    }()
}
