extension Unicode.Scalar {
    /// False for characters that a person does not see in a line of text, or that change the order of the others: controls,
    /// separators of lines and paragraphs, and format characters (Unicode §23.2) but the two joiners, which scripts and emoji need.
    package var isVisible: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        case .format: self == "\u{200C}" || self == "\u{200D}"
        default: true
        }
    }
}

extension String {
    /// Without the blanks at both ends, which a person does not see.
    package var trimmed: String {
        let start = drop(while: \.isWhitespace)
        return String(start[..<(start.lastIndex { !$0.isWhitespace }.map { start.index(after: $0) } ?? start.startIndex)])
    }
}
