/// A piece of a page, in which every text is escaped.
///
/// A `String` becomes text. An ``Attribute`` has a value that its own function escapes. A ``Link`` is
/// an address that a browser may follow. Markup is written in the source, or made by the element
/// functions of `Elements.swift`: no value of a running program can become markup.
package struct HTML: Sendable, Equatable {
    private(set) var bytes: [UInt8]

    package static let empty = HTML(bytes: [])

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

    /// Makes text.
    package init(_ text: String) {
        bytes = []
        bytes.reserveCapacity(text.utf8.count)
        bytes.append(escaping: text)
    }

    /// Makes a piece from a literal of the source, as it stands.
    package init(markup: StaticString) { bytes = markup.withUTF8Buffer { Array($0) } }

    package static func + (left: HTML, right: HTML) -> HTML { HTML(bytes: left.bytes + right.bytes) }

    package var isEmpty: Bool { bytes.isEmpty }

    /// Makes an element with an end tag.
    static func element(_ name: StaticString, _ attributes: [Attribute], _ content: HTML) -> HTML {
        var html = start(name, attributes)
        html.bytes += content.bytes
        html.bytes += "</".utf8
        html.bytes.append(name)
        html.bytes.append(UInt8(ascii: ">"))
        return html
    }

    /// Makes an element without content and end tag (HTML §13.1.2, "void elements").
    static func start(_ name: StaticString, _ attributes: [Attribute]) -> HTML {
        var bytes = [UInt8(ascii: "<")]
        bytes.append(name)
        for attribute in attributes { bytes += attribute.bytes }
        bytes.append(UInt8(ascii: ">"))
        return HTML(bytes: bytes)
    }
}

/// An attribute of an element, with its value in quotes.
package struct Attribute: Sendable {
    fileprivate let bytes: [UInt8]

    /// No attribute.
    package static let none = Attribute(bytes: [])

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// - Parameter name: must not be one that a browser follows or runs: those take a ``Link``, or do not exist.
    init(_ name: StaticString, _ value: String) {
        var bytes = [UInt8(ascii: " ")]
        bytes.append(name)
        bytes += "=\"".utf8
        bytes.append(escaping: value)
        bytes.append(UInt8(ascii: "\""))
        self.bytes = bytes
    }

    /// An attribute that is on by being there.
    init(_ name: StaticString) {
        var bytes = [UInt8(ascii: " ")]
        bytes.append(name)
        self.bytes = bytes
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ text: StaticString) { text.withUTF8Buffer { self += $0 } }

    /// Escapes what could end a text or a quoted value. NUL, which HTML does not allow, becomes U+FFFD.
    fileprivate mutating func append(escaping text: String) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): self += "&amp;".utf8
            case UInt8(ascii: "<"): self += "&lt;".utf8
            case UInt8(ascii: ">"): self += "&gt;".utf8
            case UInt8(ascii: "\""): self += "&quot;".utf8
            case UInt8(ascii: "'"): self += "&#39;".utf8
            case 0: self += "\u{FFFD}".utf8
            default: append(byte)
            }
        }
    }
}

/// Collects the pieces of an element. A `String` is text.
@resultBuilder
package enum HTMLBuilder {
    package static func buildExpression(_ html: HTML) -> HTML { html }
    package static func buildExpression(_ text: String) -> HTML { HTML(text) }
    package static func buildBlock(_ pieces: HTML...) -> HTML { buildArray(pieces) }
    package static func buildOptional(_ piece: HTML?) -> HTML { piece ?? .empty }
    package static func buildEither(first piece: HTML) -> HTML { piece }
    package static func buildEither(second piece: HTML) -> HTML { piece }

    package static func buildArray(_ pieces: [HTML]) -> HTML {
        guard pieces.count != 1 else { return pieces[0] }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.bytes.count })
        for piece in pieces { bytes += piece.bytes }
        return HTML(bytes: bytes)
    }
}
