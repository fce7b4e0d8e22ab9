import Multipart

/// The parts of a form.
struct SimulatedForm {
    struct Missing: Error {
        var name: String
    }

    private let body: [UInt8]
    private let form: MultipartForm

    init(_ body: [UInt8], _ contentType: String) throws {
        self.body = body
        form = try body.withUnsafeBytes { try MultipartForm(contentType: contentType, body: $0) }
    }

    func bytes(_ name: String) throws -> ArraySlice<UInt8> {
        guard let part = form.parts.first(where: { $0.name == name }) else { throw Missing(name: name) }
        return body[part.content]
    }

    func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }
}
