import HTTPWire
import JSON
import Multipart
import Uploads

/// A request that came as a form with files. The files stay in the upload.
struct CallForm: Sendable {
    let upload: Upload
    private let form: MultipartForm

    init(_ upload: Upload, contentType: String) throws(MultipartError) {
        self.upload = upload
        form = try upload.withUnsafeBytes { bytes throws(MultipartError) in try MultipartForm(contentType: contentType, body: bytes) }
    }

    /// The field `content-type` of the body that goes on.
    var contentType: String { form.contentType }

    /// The names of all parts.
    var names: [String] { form.parts.map(\.name) }

    func count(of name: String) -> Int { form.parts.count { $0.name == name } }

    /// The bytes of the files of a name.
    func fileBytes(_ name: String) -> Int { form.parts.reduce(0) { $1.name == name ? $0 + $1.content.count : $0 } }

    /// The bytes of all parts but those of `names`.
    func bytes(except names: [String]) -> Int { form.parts.reduce(0) { names.contains($1.name) ? $0 : $0 + $1.content.count } }

    enum Text: Hashable {
        case absent
        case text(String)
        /// It stands twice, is a file, is not UTF-8, or is longer than ``textBytesMax``.
        case unreadable
    }

    /// The longest text that the gateway reads, in bytes.
    static let textBytesMax = 1_024

    func text(_ name: String) -> Text {
        let parts = form.parts.filter { $0.name == name }
        guard let part = parts.first else { return .absent }
        guard parts.count == 1, part.filename == nil, part.content.count <= Self.textBytesMax else { return .unreadable }
        let bytes = upload.withUnsafeBytes { Array($0[part.content]) }
        return String(validating: bytes, as: UTF8.self).map(Text.text) ?? .unreadable
    }

    /// Returns the body with other texts in the place of some.
    func body(replacing texts: [(name: String, text: String)]) throws(MultipartError) -> [BodySegment] {
        var edits: [MultipartForm.Edit] = []
        for (name, text) in texts {
            if let part = form.parts.firstIndex(where: { $0.name == name }) {
                edits.append(.replace(part: part, with: Array(text.utf8)))
            } else {
                edits.append(.add(name: name, value: Array(text.utf8)))
            }
        }
        return try form.segments(edits).segments
    }
}
