import AMQP
import Testing

struct AMQPConfigurationTests {
    @Test func `a URL gives host, credentials and virtual host, unescaped`() throws {
        let configuration = try AMQPConfiguration(url: "amqp://gw%40x:p%3Aw@broker.local:5673/gw%2Fone", connectionName: "test")
        #expect(configuration.hosts.map(\.name) == ["broker.local"])
        #expect(configuration.hosts.map(\.port) == [5673])
        #expect(configuration.user == "gw@x")
        #expect(configuration.password == "p:w")
        #expect(configuration.virtualHost == "gw/one")
        #expect(!configuration.usesTLS)
    }

    @Test(arguments: ["amqp://h", "amqp://h/"])
    func `without a path the virtual host is /`(url: String) throws {
        let configuration = try AMQPConfiguration(url: url, connectionName: "test")
        #expect(configuration.virtualHost == "/")
        #expect(configuration.user == "guest")
        #expect(configuration.hosts.map(\.port) == [5672])
    }

    @Test func `a URL may have several hosts, IPv6 addresses and TLS's own port`() throws {
        let configuration = try AMQPConfiguration(url: "amqps://u:p@a:1,[::1]:2,[fe80::2]/gw", connectionName: "test")
        #expect(configuration.hosts.map(\.name) == ["a", "::1", "fe80::2"])
        #expect(configuration.hosts.map(\.port) == [1, 2, 5671])
        #expect(configuration.usesTLS)
    }

    @Test(arguments: [
        "http://h/", "h:5672", "amqp://", "amqp://h:0/", "amqp://h:65536", "amqp://h:x/", "amqp://u:%2@h/", "amqp://u:%FF@h/",
        "amqp://h,/", "amqp://h/?heartbeat=1",
    ])
    func `a malformed AMQP URL is refused`(url: String) {
        #expect(throws: AMQPConfiguration.InvalidURL.self) { try AMQPConfiguration(url: url, connectionName: "test") }
    }

    @Test func `neither the description nor an error shows the password`() throws {
        let configuration = try AMQPConfiguration(url: "amqp://u:hunter2@h/", connectionName: "test")
        #expect(!"\(configuration)".contains("hunter2"))
        let error = #expect(throws: AMQPConfiguration.InvalidURL.self) {
            try AMQPConfiguration(url: "amqp://u:hunter2@h:99999/", connectionName: "test")
        }
        #expect(!"\(String(describing: error))".contains("hunter2"))
    }
}
