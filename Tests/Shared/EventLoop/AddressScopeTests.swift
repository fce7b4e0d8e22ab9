import EventLoop
import Testing

struct AddressScopeTests {
    @Test(
        arguments: [
            ("127.0.0.1", .loopback), ("127.255.255.255", .loopback), ("::1", .loopback), ("::ffff:127.0.0.1", .loopback),
            ("8.8.8.8", .global), ("172.15.0.1", .global), ("172.32.0.1", .global), ("100.63.0.1", .global), ("100.128.0.1", .global),
            ("192.167.1.1", .global), ("2606:4700::1111", .global), ("::ffff:8.8.8.8", .global), ("64:ff9b::8.8.8.8", .global),
            ("10.1.2.3", .privateNetwork), ("100.64.0.1", .privateNetwork), ("172.16.0.1", .privateNetwork),
            ("172.31.255.255", .privateNetwork), ("192.168.0.1", .privateNetwork), ("fc00::1", .privateNetwork),
            ("fd12::1", .privateNetwork), ("::ffff:10.0.0.1", .privateNetwork),
            ("0.0.0.0", .restricted), ("169.254.169.254", .restricted), ("192.0.0.1", .restricted), ("192.0.2.1", .restricted),
            ("192.88.99.1", .restricted), ("198.19.0.1", .restricted), ("198.51.100.1", .restricted), ("203.0.113.1", .restricted),
            ("224.0.0.1", .restricted), ("255.255.255.255", .restricted), ("::", .restricted), ("fe80::1", .restricted),
            ("ff02::1", .restricted), ("::ffff:169.254.169.254", .restricted), ("64:ff9b::10.0.0.1", .restricted),
            ("64:ff9b::127.0.0.1", .restricted), ("64:ff9b:1::8.8.8.8", .restricted), ("64:ff9b:1:fffe::1", .restricted),
            ("2001::1", .restricted), ("2001:0:4136:e378:8000:63bf:3fff:fdd2", .restricted), ("2001:20::1", .restricted),
            ("2001:db8::1", .restricted), ("3fff:fff::1", .restricted), ("2002:0a00:0001::", .restricted),
            ("2002:808:808::1", .restricted), ("2002:7f00:1::", .restricted), ("::10.0.0.1", .restricted),
            ("192.0.1.1", .global), ("203.0.112.1", .global), ("2001:200::1", .global), ("2001:db9::1", .global),
            ("2003::1", .global), ("3fff:1000::1", .global),
        ] as [(String, AddressScope)])
    func `an address is of this machine, of its neighbours, or of the internet`(host: String, scope: AddressScope) throws {
        #expect(try #require(HostLookup.address(host, port: 80)).scope == scope)
    }
}
