import JSON
import Values

extension JSONWriter {
    mutating func field(_ name: String, _ amount: USD) { field(name, raw: amount.text.utf8) }
    mutating func field(_ name: String, _ time: Instant?) { field(name, time?.description) }
}
