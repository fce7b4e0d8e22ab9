/// The rank of a button. A page has one main act.
package enum ButtonKind: Sendable {
    case primary
    case secondary
    /// It destroys what it names.
    case danger
    /// It looks like a link.
    case quiet

    var style: Attribute {
        switch self {
        case .primary: .class("button primary")
        case .secondary: .class("button")
        case .danger: .class("button danger")
        case .quiet: .class("quiet")
        }
    }
}

private let buttonElement = Element("button")

/// A button that sends its form.
/// - Parameters:
///   - object: the row of a list that the button belongs to. Only screen readers speak it.
///   - choice: the field and the value that tell the buttons of a form apart.
package func submit(
    _ text: String, _ kind: ButtonKind = .primary, of object: String? = nil, choice: (name: String, value: String)? = nil
) -> HTML {
    buttonElement(
        .type("submit"), kind.style, label(text, object), choice.map { .name($0.name) } ?? .none, choice.map { .value($0.value) } ?? .none
    ) { text }
}

/// A link that looks like a button.
/// - Parameter object: the row of a list that the link belongs to. Only screen readers speak it.
package func linkButton(_ text: String, _ link: Link, _ kind: ButtonKind = .secondary, of object: String? = nil) -> HTML {
    a(link, kind.style, label(text, object)) { text }
}

/// A link to another host that looks like a button.
package func linkButton(_ text: String, _ link: OutsideLink, _ kind: ButtonKind = .secondary, of object: String? = nil) -> HTML {
    a(link, kind.style, label(text, object)) { text }
}

private func label(_ text: String, _ object: String?) -> Attribute { object.map { .ariaLabel("\(text): \($0)") } ?? .none }
