/// The reason why a body is not accepted as multipart/form-data.
package enum MultipartError: Error, Hashable, Sendable {
    // The field `content-type`.
    case notFormData
    case boundary

    // The body. A part is named by its number, from 1.
    case noFirstDelimiter
    case preambleTooLong(bytesMax: Int)
    case noEndDelimiter
    case bytesAfterEnd
    case boundaryInContent(part: Int)
    case tooManyParts(max: Int)

    // The headers of a part.
    case headersTooLong(part: Int, bytesMax: Int)
    case headerLine(part: Int)
    case repeatedHeader(part: Int, String)
    case noFormDataDisposition(part: Int)
    case dispositionParameters(part: Int)
    case noName(part: Int)
    case nameTooLong(part: Int, bytesMax: Int)
    case nameBackslash(part: Int)
    case notUTF8(part: Int)
    case transferEncoding(part: Int)

    // Edits.
    case boundaryInValue(name: String)

    /// The rule and the remedy, for the client.
    package var message: String {
        switch self {
        case .notFormData: "`content-type` must be multipart/form-data; send the body as a form with files."
        case .boundary:
            "`content-type` must have one `boundary` of 1 to 70 characters of RFC 2046; let the HTTP library write the field."
        case .noFirstDelimiter: "The body must begin with the delimiter of the `boundary` of `content-type`; write both with one encoder."
        case .preambleTooLong(let max): "The body has more than \(max) bytes before the first delimiter; begin it with the delimiter."
        case .noEndDelimiter: "The body has no end delimiter; end it with `--`, the boundary and `--`."
        case .bytesAfterEnd: "The body has bytes after the end delimiter; end it with the end delimiter and at most one CR LF."
        case .boundaryInContent(let part):
            "Part \(part) has a line that begins like a delimiter and is none; use another `boundary`, and end lines with CR LF."
        case .tooManyParts(let max): "The body has more than \(max) parts; send fewer."
        case .headersTooLong(let part, let max): "The headers of part \(part) are longer than \(max) bytes; send shorter ones."
        case .headerLine(let part):
            "A header of part \(part) is no `name: value` that ends with CR LF; send each on one line, without control characters."
        case .repeatedHeader(let part, let name): "Part \(part) has `\(name)` twice; send it once."
        case .noFormDataDisposition(let part): "Part \(part) must have `content-disposition: form-data`; add it."
        case .dispositionParameters(let part):
            "The parameters of `content-disposition` of part \(part) cannot be read in one way only; send `name` and `filename` once, in quotes."
        case .noName(let part): "`content-disposition` of part \(part) must have a `name` that is not empty; add it."
        case .nameTooLong(let part, let max): "The `name` of part \(part) is longer than \(max) bytes; send a shorter one."
        case .nameBackslash(let part):
            "The `name` of part \(part) has a backslash that escapes neither a quote nor a backslash; send the name without it."
        case .notUTF8(let part): "`name` and `filename` of part \(part) must be UTF-8; encode them so."
        case .transferEncoding(let part):
            "`content-transfer-encoding` of part \(part) must be binary, 8bit or 7bit; send the content as it is, without the field."
        case .boundaryInValue(let name): "The `boundary` occurs in the value of `\(name)`; use another `boundary`."
        }
    }
}
