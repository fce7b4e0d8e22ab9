import HTTPWire
import Uploads

/// A request body that is never as a whole in memory: pieces of an upload, and bytes between them.
final class SegmentedBody {
    let count: Int
    private let upload: Upload
    private let segments: [BodySegment]

    /// The bytes of one write. The socket takes fewer.
    private static let writeBytesMax = 256 << 10

    init(_ segments: [BodySegment], of upload: Upload) {
        for case .range(let range) in segments {
            precondition(range.lowerBound >= 0 && range.upperBound <= upload.count, "a segment beyond the upload")
        }
        (self.segments, self.upload) = (segments, upload)
        count = segments.reduce(0) { $0 + $1.count }
    }

    /// Calls `body` with the bytes from `offset` on, at most to the end of their segment.
    func withBytes<Result>(from offset: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var start = 0
        for segment in segments {
            defer { start += segment.count }
            guard offset < start + segment.count else { continue }
            let rest = (offset - start)..<min(segment.count, offset - start + Self.writeBytesMax)
            switch segment {
            case .bytes(let bytes): return bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[rest])) }
            case .range(let range):
                return upload.withUnsafeBytes { bytes in
                    body(
                        UnsafeRawBufferPointer(rebasing: bytes[(range.lowerBound + rest.lowerBound)..<(range.lowerBound + rest.upperBound)])
                    )
                }
            }
        }
        return body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
}
