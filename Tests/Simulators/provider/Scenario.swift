import HTTP

/// The behaviour of a model of the simulator.
///
/// A piece is what one streamed chunk carries, and counts as one completion token; four bytes, as tokens of English have.
struct Scenario: Sendable {
    enum Fate: Sendable {
        case answers
        /// Drops the connection in the middle of its answer.
        case dies
        /// Reads the request and never says anything.
        case hangs
        case refuses(status: Int, type: String, code: String)
    }

    var fate = Fate.answers
    var pieces = 250
    var pieceBytes = 4
    /// Zero: as fast as the client reads.
    var perSecond = 0
    var firstByteMilliseconds = 0
    var sendsUsage = true

    static let models = [
        "sim-fast", "sim-burst", "sim-paced", "sim-slow-first", "sim-dies", "sim-no-usage", "sim-429", "sim-500", "sim-503", "sim-hangs",
        "sim-huge", "sim-long", "sim-to-limit", "sim-second", "sim-steady", "sim-lasting", "sim-embed",
        "sim-picture", "sim-picture-flat", "sim-picture-tokens", "sim-voice", "sim-voice-events",
        "sim-scribe", "sim-scribe-flat", "sim-scribe-tokens", "sim-video", "sim-video-fails", "sim-video-runs",
    ]

    /// The longest answer of `sim-to-limit`: the cap of gpt-4.1.
    static let piecesMax = 32_768

    init?(model: some StringProtocol) {
        switch model {
        case "sim-fast", "sim-embed", "sim-picture", "sim-picture-flat", "sim-picture-tokens", "sim-scribe", "sim-scribe-flat",
            "sim-scribe-tokens", "sim-video", "sim-video-fails", "sim-video-runs":
            break
        // Sound of a second.
        case "sim-voice", "sim-voice-events": (pieces, pieceBytes, perSecond) = (20, 800, 100)
        case "sim-burst": pieces = 200
        case "sim-paced": (pieces, perSecond) = (200, 20)
        case "sim-slow-first": firstByteMilliseconds = 3_000
        case "sim-dies": (fate, pieces, perSecond) = (.dies, 20, 100)
        case "sim-no-usage": sendsUsage = false
        case "sim-429": fate = .refuses(status: 429, type: "requests", code: "rate_limit_exceeded")
        case "sim-500": fate = .refuses(status: 500, type: "server_error", code: "internal_error")
        case "sim-503": fate = .refuses(status: 503, type: "server_error", code: "overloaded")
        case "sim-hangs": fate = .hangs
        case "sim-long": pieces = 3_000
        case "sim-huge": (pieces, pieceBytes) = (20_000, 80)
        // The answer is as long as the limit of its request.
        case "sim-to-limit": pieces = Self.piecesMax
        // The answer has 300 tokens and takes a second, streamed or not.
        case "sim-second": (pieces, firstByteMilliseconds) = (300, 1_000)
        // The answer has 1,200 tokens and takes 20 s.
        case "sim-steady": (pieces, perSecond) = (1_200, 60)
        // The answer has 1,200 tokens and takes 100 s.
        case "sim-lasting": (pieces, perSecond) = (1_200, 12)
        default: return nil
        }
    }

    /// Knobs for tests: `?chunks=`, `?chunk_bytes=`, `?per_second=`, `?first_byte_ms=`.
    mutating func apply(_ query: Query) throws(Problem) {
        pieces = try query.integer("chunks", default: pieces, in: 0...1_000_000)
        pieceBytes = try query.integer("chunk_bytes", default: pieceBytes, in: 1...100_000)
        perSecond = try query.integer("per_second", default: perSecond, in: 0...10_000)
        firstByteMilliseconds = try query.integer("first_byte_ms", default: firstByteMilliseconds, in: 0...600_000)
    }
}
