import Configuration
import Text

/// An address of this host that a browser may follow: a path, with an optional query.
///
/// It cannot leave the host, and cannot be a script.
package struct Link: Sendable, Equatable, ExpressibleByStringLiteral, CustomStringConvertible {
    private let text: String

    /// Reads a literal of the source.
    package init(stringLiteral literal: StaticString) {
        guard let link = Link(literal.description) else { preconditionFailure("no path of this host: \(literal)") }
        self = link
    }

    /// Reads a path from outside. Nil for anything else: a browser reads `//host` and `/\host` as
    /// another host.
    package init?(_ text: String) {
        guard text.utf8.first == UInt8(ascii: "/"), text.utf8.count <= 1_024,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }),
            text.utf8.dropFirst().first != UInt8(ascii: "/")
        else { return nil }
        self.text = text
    }

    private init(checked text: String) { self.text = text }

    /// The address with another segment of its path.
    package func segment(_ segment: String) -> Link {
        // The root ends with its slash. A second one would begin the name of a host.
        Link(checked: "\(text)\(text.hasSuffix("/") ? "" : "/")\(PercentEncoding.encode(segment))")
    }

    /// The address with another pair of its query.
    package func with(_ name: StaticString, _ value: String) -> Link {
        Link(checked: "\(text)\(text.contains("?") ? "&" : "?")\(name)=\(PercentEncoding.encode(value))")
    }

    /// The address without its query.
    package var path: Link { Link(checked: String(text.prefix { $0 != "?" })) }

    /// The text for `href` and `Location`.
    package var description: String { text }
}

/// An address of another host that a browser may follow. It is encrypted, unless it is one of this machine.
package struct OutsideLink: Sendable, Equatable, CustomStringConvertible {
    package let description: String

    /// Nil for anything but `https`, and `http` on a loopback address.
    package init?(_ text: String) {
        guard text.utf8.count <= 8_192, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }),
            let url = URLText(String(text.prefix { $0 != "#" })), !url.host.isEmpty, url.user == nil,
            url.scheme == "https" || url.scheme == "http" && url.isLoopback
        else { return nil }
        description = text
    }
}
