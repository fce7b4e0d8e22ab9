import HTTP
import HTTPWire
import TestSupport
import Testing

/// The address of a client behind proxies, and its network.
struct ClientAddressTests {
    private func client(_ forwarded: String..., peer: String = "10.0.0.1") -> String? {
        var headers = HeaderBlock()
        for field in forwarded { headers.add("x-forwarded-for", field) }
        return TrustedProxies.standard.client(headers, peer: peer)?.description
    }

    @Test func `the client is the right-most entry that is no trusted proxy`() {
        #expect(client("203.0.113.7") == "203.0.113.7")
        #expect(client("198.51.100.1, 203.0.113.7") == "203.0.113.7")
        #expect(client("198.51.100.1, 203.0.113.7, 10.1.2.3,192.168.0.9") == "203.0.113.7")
        #expect(client("198.51.100.1", "203.0.113.7, 100.64.0.1") == "203.0.113.7")
        #expect(client("203.0.113.7", "172.31.255.255") == "203.0.113.7")
    }

    @Test func `if all entries are trusted proxies, the client is the right-most one`() {
        #expect(client("10.9.9.9, 192.168.1.1") == "192.168.1.1")
        #expect(client("::1, fd00::5") == "fd00::5")
    }

    @Test(arguments: ["", " ", ",", " , ,", "\t"])
    func `without an entry the client is the peer`(field: String) { #expect(client(field) == "10.0.0.1") }

    @Test(arguments: ["203.0.113.9", "172.32.0.1", "100.128.0.1", "2001:db8::1", "fe80::1", "11.0.0.1"])
    func `the entries of a peer that is no trusted proxy do not count`(peer: String) {
        #expect(client("198.51.100.1", peer: peer) == peer)
    }

    @Test(arguments: ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "fd12::1", "172.16.0.1", "192.168.0.1"])
    func `the entries of a peer in a private network count`(peer: String) {
        #expect(client("198.51.100.1", peer: peer) == "198.51.100.1")
    }

    @Test(arguments: [
        ("203.0.113.7:4711", "203.0.113.7"), ("[2001:db8::1]:443", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1"), ("[fe80::1%eth0]:1", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"), ("::FFFF:CB00:7107", "203.0.113.7"), ("2001:db8::203.0.113.7", "2001:db8::cb00:7107"),
    ])
    func `ports, brackets and zones are taken off`(entry: String, address: String) { #expect(client(entry) == address) }

    @Test(arguments: [
        "unknown", "_hidden", "203.0.113.7.8", "203.0.113", "0x7f.1", "1.2.3.4:99999", "1.2.3.4:", "1.2.3.4:-1", "[2001:db8::1",
        "2001:db8::1]", "[1.2.3.4]x", "::1::", "\"203.0.113.7\"", "for=203.0.113.7", "203.0.113.7 198.51.100.1", "é", "[]", "%",
        String(repeating: "1", count: 4_000),
    ])
    func `an entry that is no address ends the reading`(entry: String) {
        #expect(client(entry) == "10.0.0.1")
        #expect(client("198.51.100.1, \(entry)") == "10.0.0.1")
        #expect(client("198.51.100.1, \(entry), 10.7.7.7") == "10.7.7.7")
        #expect(client("\(entry), 198.51.100.1") == "198.51.100.1")
    }

    @Test func `a long chain of proxies is not read to its end`() {
        let chain = Array(repeating: "10.0.0.2", count: 5_000).joined(separator: ",")
        #expect(client("203.0.113.7,\(chain)") == "10.0.0.2")
        #expect(client("203.0.113.7," + Array(repeating: "10.0.0.2", count: 15).joined(separator: ",")) == "203.0.113.7")
    }

    @Test(arguments: ["", "nothing", "10.0.0.1:80"])
    func `without a peer there is no client`(peer: String) { #expect(client("203.0.113.7", peer: peer) == nil) }

    @Test func `the prefix of a client is its IPv4 address, or the first half of its IPv6 address`() {
        #expect(IPAddress("203.0.113.7")?.clientPrefix == "203.0.113.7")
        #expect(IPAddress("::ffff:203.0.113.7")?.clientPrefix == "203.0.113.7")
        #expect(IPAddress("2001:db8:1:2:3:4:5:6")?.clientPrefix == "2001:db8:1:2::/64")
        #expect(IPAddress("2001:db8:1:2:ffff::")?.clientPrefix == "2001:db8:1:2::/64")
        #expect(IPAddress("::1")?.clientPrefix == "::/64")
    }

    @Test func `a network contains the addresses with its prefix`() throws {
        let network = try #require(IPNetwork("192.0.2.128/25"))
        #expect(network.contains(try #require(IPAddress("192.0.2.255"))))
        #expect(!network.contains(try #require(IPAddress("192.0.2.127"))))
        #expect(!network.contains(try #require(IPAddress("2001:db8::c000:280"))))
        for everything in ["0.0.0.0/0", "::/0"] {
            let network = try #require(IPNetwork(everything))
            #expect(network.contains(try #require(IPAddress("192.0.2.1"))) == (everything == "0.0.0.0/0"))
            #expect(network.contains(try #require(IPAddress("2001:db8::1"))) == (everything == "::/0"))
        }
        #expect(IPNetwork("192.0.2.1")?.contains(try #require(IPAddress("192.0.2.1"))) == true)
        #expect(IPNetwork("192.0.2.1")?.contains(try #require(IPAddress("192.0.2.2"))) == false)
    }

    @Test(arguments: [
        "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8", "::1/64", "::/129", "10/8", "x/8",
        "10.0.0.0 /8", "fe80::%eth0/10", "10.0.0.0/999999999999999999999",
    ])
    func `a text that is no network is refused`(text: String) { #expect(IPNetwork(text) == nil) }

    @Test func `a request knows its client`() async throws {
        let server = try await TestServer { router in
            router.on(.get, "/") { request in .text(200, request.clientAddress?.description ?? "none") }
        }
        #expect(server.say(get("/", "X-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n")).text.hasSuffix("\r\n\r\n203.0.113.7"))
        #expect(server.say(get("/", "Connection: close\r\n")).text.hasSuffix("\r\n\r\n127.0.0.1"))
        var configuration = HTTPServerConfiguration()
        configuration.trustedProxies = TrustedProxies([])
        let suspicious = try await TestServer(configuration) { router in
            router.on(.get, "/") { request in .text(200, request.clientAddress?.description ?? "none") }
        }
        let answer = suspicious.say(get("/", "X-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n"))
        #expect(answer.text.hasSuffix("\r\n\r\n127.0.0.1"))
    }
}
