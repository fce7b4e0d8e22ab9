import HTTPWire
import Text

/// Names one request in answers, logs and messages: the client's own `x-request-id`, or a new UUIDv7's text.
package enum RequestID {
    static let header: StaticString = "x-request-id"
    /// The name of the field in Anthropic's API.
    static let anthropicHeader: StaticString = "request-id"

    /// Accepts 1 to 128 visible ASCII characters (0x21–0x7E); anything else could forge log lines.
    static func of(_ headers: HeaderBlock) -> String {
        if let index = headers.find(header) {
            let text = headers.withValue(at: index) { value -> String? in
                guard 1...128 ~= value.count, value.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
                return String(decoding: value, as: UTF8.self)
            }
            if let text { return text }
        }
        return make()
    }

    /// Makes the text of a UUID version 7.
    package static func make() -> String {
        var random = UniqueNumbers()
        let words = UUIDText.version7(milliseconds: Timestamp.now() / 1_000, using: &random)
        return UUIDText.write(high: words.high, low: words.low)
    }
}

extension HeaderBlock {
    init(requestID: String) {
        self.init()
        add(RequestID.header, requestID)
    }
}
