/// A framed part of a page.
/// - Parameter side: what stands at the end of the line of the title.
package func panel(_ title: String? = nil, side: HTML = .empty, @HTMLBuilder content: () -> HTML) -> HTML {
    section(.class("panel")) {
        if let title, side.isEmpty {
            h2 { title }
        } else if let title {
            div(.class("head")) { h2 { title } + side }
        }
        content()
    }
}

/// The figure that a page is about.
package func figure(_ content: HTML) -> HTML { p(.class("figure")) { content } }

/// The kind of a notice.
package enum NoticeKind: Sendable {
    case done
    case warning
    case failure

    fileprivate var style: Attribute {
        switch self {
        case .done: .class("notice done")
        case .warning: .class("notice warning")
        case .failure: .class("notice failure")
        }
    }
}

/// A sentence that a person should not miss. It takes the focus, so that screen readers speak it.
package func notice(_ kind: NoticeKind, @HTMLBuilder content: () -> HTML) -> HTML {
    div(kind.style, .role("alert"), .tabindex(-1), .autofocus) { content() }
}

/// Names and what they stand for.
package func facts(_ rows: [(name: String, value: HTML)]) -> HTML {
    dl(.class("facts")) {
        for (name, value) in rows {
            div {
                dt { name }
                dd { value }
            }
        }
    }
}

/// A word that classifies a row.
package func tag(_ text: String, isWarning: Bool = false) -> HTML {
    span(isWarning ? .class("tag warning") : .class("tag")) { text }
}

/// A code that a person compares or copies.
package func codeDisplay(_ text: String) -> HTML { p(.class("code-display")) { code { text } } }

/// A list whose entries have an act each.
package func rows(_ entries: [(what: HTML, act: HTML)]) -> HTML {
    ul(.class("rows")) {
        for (what, act) in entries {
            li {
                div(.class("what")) { what }
                act
            }
        }
    }
}

/// The place of a list that has nothing yet, with the next useful step.
package func emptyState(_ text: String, @HTMLBuilder next: () -> HTML = { .empty }) -> HTML {
    div(.class("empty")) {
        p { text }
        next()
    }
}
