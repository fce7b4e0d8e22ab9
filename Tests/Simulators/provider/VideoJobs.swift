import Foundation
import HTTP
import HTTPWire
import JSON
import Synchronization

/// The jobs of `/v1/videos`. The model of a job says what becomes of it:
///
/// | model | |
/// |---|---|
/// | `sim-video` | is complete when it is asked for the second time |
/// | `sim-video-fails` | fails when it is asked for the second time |
/// | `sim-video-runs` | never ends |
final class VideoJobs: Sendable {
    private struct Job {
        var id: String
        var model: String
        var seconds: String
        var size: String
        var asked = 0

        var status: String {
            switch (asked, model) {
            case (0, _): "queued"
            case (1, _), (_, "sim-video-runs"): "in_progress"
            case (_, "sim-video-fails"): "failed"
            default: "completed"
            }
        }

        func write(_ json: inout JSONWriter) {
            json.field("id", id)
            json.field("object", "video")
            json.field("created_at", 1_750_000_000)
            json.field("status", status)
            json.field("model", model)
            json.field("progress", status == "completed" ? 100 : 0)
            json.field("seconds", seconds)
            json.field("size", size)
            guard status == "failed" else { return json.field("error", nil as String?) }
            json.object("error") { error in
                error.field("code", "moderation_blocked")
                error.field("message", "The simulator was asked to fail.")
            }
        }
    }

    private let jobs = Mutex<[String: Job]>([:])

    /// The bytes of each video: 256 KiB.
    static let content = [UInt8](repeating: 0x76, count: 1 << 18)

    /// Returns the answer to a request below `/v1/videos`.
    func answer(_ exchange: Exchange) -> Response {
        let parts = exchange.path.split(separator: "/").dropFirst(2).map(String.init)
        switch (exchange.method, parts.count) {
        case (.post, 0): return create(exchange)
        case (.get, 1):
            let job = jobs.withLock { jobs in
                jobs[parts[0]]?.asked += 1
                return jobs[parts[0]]
            }
            return job.map { job in .object(200) { job.write(&$0) } } ?? missing
        case (.get, 2) where parts[1] == "content":
            guard jobs.withLock({ $0[parts[0]]?.status }) == "completed" else { return missing }
            return Response(status: 200, headers: ["content-type": "video/mp4"], body: Self.content)
        case (.delete, 1):
            guard jobs.withLock({ $0.removeValue(forKey: parts[0]) }) != nil else { return missing }
            return .object(200) { json in
                json.field("id", parts[0])
                json.field("object", "video.deleted")
                json.field("deleted", true)
            }
        default: return missing
        }
    }

    private func create(_ exchange: Exchange) -> Response {
        do {
            var job = Job(id: "video_" + UUID().uuidString, model: "", seconds: "4", size: "720x1280")
            let type = exchange.headers.string(for: "content-type") ?? ""
            if type.hasPrefix("multipart/") {
                let form = try SimulatedForm(exchange.body, type)
                job.model = try form.text("model")
                job.seconds = (try? form.text("seconds")) ?? job.seconds
                job.size = (try? form.text("size")) ?? job.size
            } else {
                let json = try JSONObject(exchange.body)
                job.model = try json.string("model")
                job.seconds = try json.optionalString("seconds") ?? job.seconds
                job.size = try json.optionalString("size") ?? job.size
            }
            guard let scenario = Scenario(model: job.model) else { return refusal(404, "model_not_found") }
            if case .refuses(let status, _, let code) = scenario.fate { return refusal(status, code) }
            jobs.withLock { [job] in $0[job.id] = job }
            return .object(200) { [job] in job.write(&$0) }
        } catch {
            return refusal(400, "invalid_request")
        }
    }

    private var missing: Response { refusal(404, "not_found") }

    private func refusal(_ status: Int, _ code: String) -> Response {
        .object(status) { json in
            json.object("error") { error in
                error.field("message", "The simulator was asked for \(status).")
                error.field("type", "invalid_request_error")
                error.field("code", code)
            }
        }
    }
}
