/// A switch between some views of the same thing.
/// - Parameter label: what the views show. Only screen readers speak it.
package func segments(_ label: String, _ entries: [(text: String, link: Link)], current: Link) -> HTML {
    nav(.class("segments"), .ariaLabel(label)) {
        for (text, link) in entries { a(link, link == current ? .ariaCurrent : .none) { text } }
    }
}

/// The pages that belong together. The current one is marked.
/// - Parameter label: what they belong to. Only screen readers speak it.
package func tabs(_ label: String, _ entries: [(text: String, link: Link)], current: Link) -> HTML {
    nav(.class("tabs"), .ariaLabel(label)) {
        for (text, link) in entries { a(link, link == current ? .ariaCurrentPage : .none) { text } }
    }
}
