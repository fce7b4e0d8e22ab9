/// The master keys of a service by number. The first seals, and every key opens what it has sealed.
///
/// To change the key: add the new one in front (`2:<base64>,1:<base64>`), let the service seal
/// everything again, and remove the old one.
package struct MasterKeyRing: Sendable {
    package enum Flaw: Error, Equatable, CustomStringConvertible {
        case malformed
        case repeated(number: UInt8)

        package var description: String {
            switch self {
            case .malformed: "1 to 16 keys like 2:<base64>,1:<base64>, with numbers of 1 to 255 and 32 bytes each"
            case .repeated(let number): "each number and each key once; \(number) repeats one"
            }
        }
    }

    /// In the order of the text.
    package let keys: [(number: UInt8, key: MasterKey)]

    package init(_ text: String) throws(Flaw) {
        var keys: [(number: UInt8, key: MasterKey)] = []
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= 16 else { throw .malformed }
        for part in parts {
            let pair = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, pair[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt8(pair[0]), number > 0,
                let key = MasterKey(base64: String(pair[1]))
            else { throw .malformed }
            guard !keys.contains(where: { $0.number == number || $0.key.id == key.id }) else { throw .repeated(number: number) }
            keys.append((number, key))
        }
        self.keys = keys
    }

    /// The key that seals.
    package var current: (number: UInt8, key: MasterKey) { keys[0] }

    package func seal(_ secret: [UInt8], as context: String) -> [UInt8] { current.key.seal(secret, as: context) }

    /// Opens a value with the key that sealed it.
    /// - Throws: ``MasterKey/Failure/otherKey(id:)`` if no key of the ring has sealed it.
    package func open(_ sealed: [UInt8], as context: String) throws(MasterKey.Failure) -> [UInt8] {
        for (_, key) in keys {
            do throws(MasterKey.Failure) {
                return try key.open(sealed, as: context)
            } catch {
                guard case .otherKey = error else { throw error }
            }
        }
        throw .otherKey(id: MasterKey.id(of: sealed) ?? "?")
    }

    /// The ids of the keys, which every sealed value carries in its bytes 1 to 4.
    package var ids: [[UInt8]] { keys.map(\.key.idBytes) }

    /// Returns a key for one purpose from each key, by number.
    package func derived(for purpose: String) -> [UInt8: [UInt8]] {
        Dictionary(uniqueKeysWithValues: keys.map { ($0.number, $0.key.derived(for: purpose)) })
    }
}
