import EventLoop
import Testing

struct AddressScopeTests {
    @Test(
        arguments: [
            ("127.0.0.1", .loopback), ("127.255.255.255", .loopback), ("::1", .loopback), ("::ffff:127.0.0.1", .loopback),
            ("8.8.8.8", .global), ("172.15.0.1", .global), ("172.32.0.1", .global), ("100.63.0.1", .global), ("100.128.0.1", .global),
            ("192.167.1.1", .global), ("2606:4700::1111", .global), ("::ffff:8.8.8.8", .global), ("64:ff9b::8.8.8.8", .global),
            ("0.0.0.0", .restricted), ("10.1.2.3", .restricted), ("100.64.0.1", .restricted), ("169.254.169.254", .restricted),
            ("172.16.0.1", .restricted), ("172.31.255.255", .restricted), ("192.168.0.1", .restricted), ("192.0.0.1", .restricted),
            ("198.19.0.1", .restricted), ("224.0.0.1", .restricted), ("255.255.255.255", .restricted), ("::", .restricted),
            ("fe80::1", .restricted), ("fc00::1", .restricted), ("fd12::1", .restricted), ("ff02::1", .restricted),
            ("::ffff:10.0.0.1", .restricted), ("::ffff:169.254.169.254", .restricted), ("64:ff9b::10.0.0.1", .restricted),
            ("2002:0a00:0001::", .restricted), ("::10.0.0.1", .restricted),
        ] as [(String, AddressScope)])
    func `an address is of this machine, of its neighbours, or of the internet`(host: String, scope: AddressScope) throws {
        #expect(try #require(HostLookup.address(host, port: 80)).scope == scope)
    }
}
