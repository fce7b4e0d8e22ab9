import HTTPWire
import JSON

/// The members that the simulator reads of a request of any path.
struct SimulatedRequest: Sendable {
    var model: String
    var streams: Bool
    /// True if the stream must end with usage.
    var includesUsage: Bool
    /// The longest answer, in tokens.
    var maxTokens: Int?
    /// One for every four bytes of text, rounded up, at least one.
    var promptTokens: Int
    /// The texts of the prompt.
    var texts = 1
    /// The numbers of each vector.
    var dimensions = 6
    /// True if vectors must be in base64.
    var wantsBase64 = false
    /// The pictures that the answer must have.
    var pictures = 1
    /// True if sound must come as events.
    var wantsEvents = false
    /// The bytes of sound to write down.
    var soundBytes = 0
    /// The `response_format` of a transcription.
    var format = "json"
    /// The function that the answer calls, in the place of text.
    var function: String?
    /// The name of the first tool. The answer calls it.
    var tool: String?
    /// True if the answer has thoughts.
    var thinks = false
    /// True if a part of the prompt is written to a cache.
    var writesCache = false
}

/// The bytes of one answer, in the shape of one path.
protocol SimulatedAnswer: Sendable {
    /// Reads a request to the path.
    static func request(_ body: [UInt8]) throws(JSONError) -> SimulatedRequest

    /// Reads a request that may be a form.
    static func request(_ body: [UInt8], contentType: String) throws -> SimulatedRequest

    /// Returns true if the request has a key where the path expects it.
    static func isAuthorised(_ headers: HeaderBlock) -> Bool

    /// Writes the body of a refusal.
    static func refusal(type: String, code: String, message: String) -> [UInt8]

    init(_ request: SimulatedRequest, _ scenario: Scenario)

    var scenario: Scenario { get }
    /// The media type of an answer in one piece.
    var mediaType: String { get }
    /// The media type of a stream.
    var streamType: String { get }
    /// The completion tokens: pieces that are sent, clamped by the request.
    var pieces: Int { get }

    /// The answer in one piece.
    var body: [UInt8] { get }

    /// The events before the first piece.
    var firstEvents: [UInt8] { get }
    /// Writes the event of a piece.
    func event(_ index: Int, into bytes: inout [UInt8])
    /// The events behind the last piece, with the usage and the end marker.
    var lastEvents: [UInt8] { get }
}

extension SimulatedAnswer {
    var mediaType: String { "application/json" }
    var streamType: String { "text/event-stream" }

    static func request(_ body: [UInt8], contentType: String) throws -> SimulatedRequest { try request(body) }

    static func isAuthorised(_ headers: HeaderBlock) -> Bool {
        guard let index = headers.find("authorization") else { return false }
        let value = headers.value(at: index)
        return value.count > 7 && value.starts(with: "Bearer ".utf8)
    }

    static func refusal(type: String, code: String, message: String) -> [UInt8] {
        JSONWriter.object { json in
            json.object("error") { error in
                error.field("message", message)
                error.field("type", type)
                error.field("param", nil as String?)
                error.field("code", code)
            }
        }
    }
}

/// The text of answers, of which each piece has a part.
enum SimulatedText {
    private static let text = Array(String(repeating: "the quick brown fox jumps over the lazy dog and ", count: 2_100).utf8)

    static func append(piece index: Int, of scenario: Scenario, to bytes: inout [UInt8]) {
        let start = index * scenario.pieceBytes % 48
        bytes.append(contentsOf: text[start..<(start + scenario.pieceBytes)])
    }

    static func tokens(ofBytes bytes: Int) -> Int { max(1, (bytes + 3) / 4) }
}
