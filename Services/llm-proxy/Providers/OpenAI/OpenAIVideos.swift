import Contracts
import HTTPWire
import JSON

/// OpenAI's videos: jobs that are asked for until they have an outcome.
enum OpenAIVideos {
    /// The kind of the providers that have this API.
    static let kind = "openai"
    static let path = "/videos"

    /// The longest answer about a job, in bytes.
    static let answerBytesMax = 65_536

    /// Members of several servers that make a video longer, larger or dearer in other words than seconds and size.
    private static let dearer: [StaticString] = [
        "remix_video_id", "n", "n_variants", "num_videos", "n_seconds", "num_seconds", "duration", "duration_seconds", "num_frames",
        "frames",
        "frame_count", "fps", "frame_rate", "width", "height", "resolution", "aspect_ratio", "quality", "steps", "num_inference_steps",
        "megapixels", "extra_params",
    ]
    static let priced = PricedMembers([("stream", .onlyFalse)] + dearer.map { ($0, .absent) })

    /// Reads the provider's answer about a job.
    /// - Returns: nil for an answer that is no video.
    static func progress(_ body: [UInt8]) -> VideoProgress? {
        guard let json = try? JSONObject(body), let id = try? json.string("id"), isSafe(id), let status = try? json.string("status") else {
            return nil
        }
        let outcome: VideoProgress.Outcome
        switch status {
        case "queued", "in_progress": outcome = .running
        case "completed": outcome = .completed
        case "failed", "cancelled", "expired": outcome = .failed
        default: return nil
        }
        return VideoProgress(id: id, outcome: outcome, answer: json)
    }

    /// The id becomes a part of an address.
    private static func isSafe(_ id: String) -> Bool {
        (1...200).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// The progress of a job as its provider tells it.
struct VideoProgress: Sendable {
    enum Outcome: Sendable { case running, completed, failed }

    /// The provider's id of the job.
    var id: String
    var outcome: Outcome
    /// The video as the provider describes it.
    var answer: JSONObject
}
