/// A unit that the gateway knows how to price. Its raw value is the name of a ``MeteredUnit``.
package enum UsageUnit: String, CaseIterable, Sendable {
    case input
    case cachedInput = "cached_input"
    case cacheWrite = "cache_write"
    /// Written to a cache that keeps it for an hour.
    case cacheWrite1h = "cache_write_1h"
    case output
    case reasoning
    case audioInput = "audio_input"
    case audioOutput = "audio_output"
    /// A token of a picture that the client sent.
    case imageInput = "image_input"
    /// A token of a picture that the model made.
    case imageOutput = "image_output"
    case image
    case videoSecond = "video_second"
    case audio30s = "audio_30s"
    case character
    case gigabyteDay = "gb_day"
    case request

    /// True for a token that the client sent to the model.
    package var isPromptToken: Bool {
        switch self {
        case .input, .cachedInput, .cacheWrite, .cacheWrite1h, .audioInput, .imageInput: true
        default: false
        }
    }

    /// True for a token that the model made.
    package var isCompletionToken: Bool {
        switch self {
        case .output, .reasoning, .audioOutput, .imageOutput: true
        default: false
        }
    }
}
