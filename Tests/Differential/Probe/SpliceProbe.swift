import JSON

/// The splicer: an object, and changes to it.
enum SpliceProbe {
    static func answer(_ fields: inout CaseFields, into output: inout ProbeOutput) {
        let text = fields.block()
        guard let object = try? JSONObject(text) else { return output.tag("!") }
        var splice = JSONSplice(object)
        for _ in 0..<fields.number() {
            let removes = fields.byte() == UInt8(ascii: "-")
            let name = String(decoding: fields.block(), as: UTF8.self)
            if removes { splice.remove(name) } else { splice.set(name, raw: fields.block()) }
        }
        output.tag("=")
        output.block(splice.apply())
    }
}
