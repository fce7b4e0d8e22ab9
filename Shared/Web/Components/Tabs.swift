/// The pages that belong together. The current one is marked.
/// - Parameter label: what they belong to. Only screen readers speak it.
package func tabs(_ label: String, _ entries: [(text: String, link: Link)], current: Link) -> HTML {
    nav(.class("tabs"), .ariaLabel(label)) {
        for (text, link) in entries { a(link, link == current ? .ariaCurrentPage : .none) { text } }
    }
}
