import Text

/// A name that people see, of a person, a key or a device. It may be empty.
struct DisplayName {
    let text: String

    /// Reads a name, and makes blanks single. Nil for a name of more than `lengthMax` Unicode scalars, and for one with an invisible
    /// character, by which it could look like another name.
    init?(_ written: String, lengthMax: Int) {
        let text = written.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard text.unicodeScalars.count <= lengthMax, text.unicodeScalars.allSatisfy(\.isVisible) else { return nil }
        self.text = text
    }
}
