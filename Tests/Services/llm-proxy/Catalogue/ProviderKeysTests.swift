import Configuration
import Testing

@testable import LLMProxy

struct ProviderKeysTests {
    private func entry(_ url: String, _ variable: String, isPrivate: Bool = false) -> ProvidersFile.Provider {
        .init(
            provider: Catalogue.Provider(name: "p", kind: "openai", baseURL: url, apiKeyVariable: variable), models: [],
            isPrivateNetwork: isPrivate)
    }

    private func found(_ keys: ProviderKeys, _ variable: String, _ origin: String) -> String {
        switch keys.key(of: variable, for: origin) {
        case .known(let key): key.secret
        case .missing: "missing"
        case .boundElsewhere: "bound elsewhere"
        }
    }

    @Test func `a key is used only with the address next to it in the configuration`() {
        let keys = ProviderKeys(of: [
            entry("https://API.example.com/v1", "A"), entry("https://b.example.com:8443", "B"), entry("https://c", "C"),
        ]) {
            $0 == "C" ? nil : Secret("key " + $0)
        }
        #expect(found(keys, "A", "https://api.example.com") == "key A")
        #expect(found(keys, "B", "https://b.example.com:8443") == "key B")
        for origin in [
            "https://b.example.com:8443", "http://api.example.com", "https://api.example.com:8443", "https://169.254.169.254", "",
        ] {
            #expect(found(keys, "A", origin) == "bound elsewhere", "\(origin)")
        }
        #expect(found(keys, "C", "https://c") == "missing")
        #expect(found(keys, "PATH", "https://c") == "missing")
    }

    @Test(arguments: [[true, false], [false, true], [false, false]])
    func `the order of two entries for one address does not decide about private networks`(flags: [Bool]) throws {
        let keys = ProviderKeys(of: flags.map { entry("https://a.example.com", "A", isPrivate: $0) }) { Secret("key " + $0) }
        guard case .known(let key) = keys.key(of: "A", for: "https://a.example.com") else { throw NoKey() }
        #expect(key.mayCallPrivateAddresses == flags.contains(true))
    }

    private struct NoKey: Error {}
}
