import Text

/// A name that people see, of a person, a key or a device. It may be empty.
struct DisplayName {
    let text: String

    /// Reads a name, and makes blanks single. Nil for more than `lengthMax` characters (Unicode scalars), and for characters that
    /// nobody sees: with those, one name could look like another.
    init?(_ written: String, lengthMax: Int) {
        let text = written.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard text.unicodeScalars.count <= lengthMax, text.unicodeScalars.allSatisfy(\.isVisible) else { return nil }
        self.text = text
    }
}
