package import HTTP

extension Viewer {
    /// Asks once before an act that cannot be taken back. `content` names the object of the act.
    /// - Parameters:
    ///   - text: the button that acts.
    ///   - link: the address that the button posts to.
    ///   - back: the page of a person who does not want it.
    ///   - leave: the text of the link to it; nil: "Cancel", which a page that cancels something cannot say.
    package func confirm(
        _ title: String, place: Place, act text: String, _ kind: ButtonKind = .danger, at link: Link, back: Link, leave: String? = nil,
        @HTMLBuilder content: () -> HTML
    ) -> Response {
        show(Page(title, place: place)) {
            panel {
                h1 { title }
                content()
                Form(self)(link) { submit(text, kind) }
                linkButton(leave ?? cancel, back)
            }
        }
    }

    /// The text of the link that leaves a form.
    package var cancel: String { language(en: "Cancel", th: "ยกเลิก") }
}
