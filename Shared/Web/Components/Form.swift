import Identity

/// A form of a page. Its browser sends it to a route whose answer leads to a page (303), or shows the
/// form again with its errors.
package struct Form: Sendable {
    private let viewer: Viewer
    private let sent: FormInput

    /// - Parameter input: what the person sent, if the form is shown again.
    package init(_ viewer: Viewer, _ input: FormInput = FormInput()) { (self.viewer, sent) = (viewer, input) }

    /// - Parameter hidden: fields that the browser sends along.
    package func callAsFunction(_ action: Link, hidden: [String: String] = [:], @HTMLBuilder content: () -> HTML) -> HTML {
        // The page says itself what is wrong, in its own language.
        form(action, method: "post", [Attribute("novalidate")], tokens(hidden) + summary + content())
    }

    /// A form that is one button.
    /// - Parameter object: the row of a list that the button belongs to. Only screen readers speak it.
    package func button(
        _ text: String, _ action: Link, _ kind: ButtonKind = .secondary, of object: String? = nil, hidden: [String: String] = [:]
    ) -> HTML {
        form(action, method: "post", [.class("inline")], tokens(hidden) + submit(text, kind, of: object))
    }

    /// A form that looks something up, and changes nothing.
    /// - Parameter live: the id of the element of the page in which a script shows the answer while the person types.
    package func search(_ action: Link, live: String? = nil, @HTMLBuilder content: () -> HTML) -> HTML {
        form(
            action, method: "get",
            [.class("filter"), .role("search")] + (live.map { [Attribute("data-live", $0), Attribute("novalidate")] } ?? []),
            summary + content())
    }

    private func tokens(_ hidden: [String: String]) -> HTML {
        var fields = hidden
        fields["csrf_token"] = viewer.principal?.csrf?.token()
        return HTMLBuilder.buildArray(
            fields.sorted { $0.key < $1.key }.map { input(.type("hidden"), .name($0.key), .value($0.value)) })
    }

    /// The errors, each with a link to its field. It takes the focus, so that a screen reader begins here.
    @HTMLBuilder private var summary: HTML {
        if !sent.isFine {
            div(.class("summary"), .role("alert"), .tabindex(-1), .autofocus) {
                p {
                    strong {
                        viewer.language(en: "This did not work yet:", th: "ยังทำรายการไม่สำเร็จ:")
                    }
                }
                ul { for (field, message) in sent.errors { li { a(fragment: field) { message } } } }
            }
        }
    }

    // MARK: Fields

    /// A line of text.
    /// - Parameter pattern: a regular expression. A script asks for no answer to another text; the service says what is wrong with it.
    package func field(
        _ name: String, _ text: String, _ kind: FieldKind = .text, hint: String? = nil, isOptional: Bool = false, pattern: String? = nil
    ) -> HTML {
        let error = sent.error(of: name)
        return div(.class("field")) {
            label(.for(name)) {
                text
                if isOptional { span(.class("muted")) { viewer.language(en: " (optional)", th: " (ไม่บังคับ)") } }
            }
            note(hint, of: name, .class("hint"), "hint")
            HTML.start(
                "input",
                [.id(name), .name(name)] + kind.attributes + (kind.isSecret ? [] : [.value(sent[name])])
                    + (pattern.map { [Attribute("pattern", $0)] } ?? []) + described(name, hint: hint, error: error)
                    + (isOptional || !kind.isRequired ? [] : [.required]))
            note(error, of: name, .class("error"), "error")
        }
    }

    /// An option of a choice.
    package struct Option: Sendable {
        package let value: String
        package let text: String
        let language: Language?

        /// - Parameter language: the language of the text, if it may be another than that of the page.
        package init(_ value: String, _ text: String, in language: Language? = nil) {
            (self.value, self.text, self.language) = (value, text, language)
        }
    }

    /// A choice of one of some.
    package func choice(_ name: String, _ text: String, _ options: [Option], hint: String? = nil) -> HTML {
        choice(name, text, hint, self.options(options, of: name))
    }

    /// A choice of one of many, which are grouped.
    package func choice(_ name: String, _ text: String, groups: [(title: String, options: [Option])], hint: String? = nil) -> HTML {
        choice(name, text, hint, HTMLBuilder.buildArray(groups.map { group in optgroup(group.title) { options(group.options, of: name) } }))
    }

    private func choice(_ name: String, _ text: String, _ hint: String?, _ options: HTML) -> HTML {
        let error = sent.error(of: name)
        return div(.class("field")) {
            label(.for(name)) { text }
            note(hint, of: name, .class("hint"), "hint")
            HTML.element("select", [.id(name), .name(name)] + described(name, hint: hint, error: error), options)
            note(error, of: name, .class("error"), "error")
        }
    }

    private func options(_ options: [Option], of name: String) -> HTML {
        let chosen = sent[name]
        return HTMLBuilder.buildArray(
            options.map { choice in
                let language = choice.language.flatMap { $0 == viewer.language ? nil : Attribute.lang($0) }
                return option(.value(choice.value), choice.value == chosen ? .selected : .none, language ?? .none) { choice.text }
            })
    }

    /// Fields that answer one question. An error of `name` stands next to the question.
    package func group(_ name: String, _ text: String, hint: String? = nil, @HTMLBuilder content: () -> HTML) -> HTML {
        let error = sent.error(of: name)
        return HTML.element(
            "fieldset", [.id(name), .tabindex(-1)] + describedBy(name, hint: hint, error: error),
            legend { text } + note(hint, of: name, .class("hint"), "hint") + note(error, of: name, .class("error"), "error") + content())
    }

    /// A box to tick. A browser sends the field only if it is ticked.
    package func box(_ name: String, _ text: String, hint: String? = nil) -> HTML {
        div(.class("box")) {
            HTML.start(
                "input",
                [.type("checkbox"), .id(name), .name(name), .value("on"), sent.isOn(name) ? .checked : .none]
                    + described(name, hint: hint, error: nil))
            label(.for(name)) { text }
            note(hint, of: name, .class("hint"), "hint")
        }
    }

    @HTMLBuilder private func note(_ text: String?, of name: String, _ style: Attribute, _ suffix: String) -> HTML {
        if let text { p(.id("\(name)-\(suffix)"), style) { text } }
    }

    private func described(_ name: String, hint: String?, error: String?) -> [Attribute] {
        describedBy(name, hint: hint, error: error) + (error == nil ? [] : [.ariaInvalid])
    }

    private func describedBy(_ name: String, hint: String?, error: String?) -> [Attribute] {
        let ids = [hint.map { _ in "\(name)-hint" }, error.map { _ in "\(name)-error" }].compactMap(\.self)
        return ids.isEmpty ? [] : [.ariaDescribedBy(ids.joined(separator: " "))]
    }
}

/// The kind of a line of text: what a browser offers to fill in, and which keys a phone shows.
package enum FieldKind: Sendable {
    case text
    /// A sentence or two.
    case longText
    /// Several texts, with a mark between them.
    case list
    case name
    case email
    /// An address that the browser does not know as a name to sign in by.
    case newEmail
    case currentPassword
    case newPassword
    /// A code of a device, in capitals.
    case code
    case search
    case amount
    case date
    /// A day of a search.
    case period

    /// A secret is not sent back.
    var isSecret: Bool {
        switch self {
        case .currentPassword, .newPassword: true
        default: false
        }
    }

    /// An empty search finds everything.
    var isRequired: Bool { self != .search && self != .period }

    var attributes: [Attribute] {
        switch self {
        case .text: [.type("text"), .autocomplete("off"), .maxlength(256)]
        case .longText: [.type("text"), .autocomplete("off"), .maxlength(500)]
        case .list: [.type("text"), .autocomplete("off"), .maxlength(4_500)]
        case .name: [.type("text"), .autocomplete("name"), .maxlength(200)]
        case .email: [.type("email"), .autocomplete("username"), .inputmode("email"), .verbatim, .noSpellcheck, .maxlength(254)]
        case .newEmail: [.type("email"), .autocomplete("email"), .inputmode("email"), .verbatim, .noSpellcheck, .maxlength(254)]
        case .currentPassword: [.type("password"), .autocomplete("current-password"), .maxlength(1_024)]
        case .newPassword: [.type("password"), .autocomplete("new-password"), .maxlength(1_024)]
        case .code:
            [.type("text"), .class("code"), .autocomplete("one-time-code"), .inputmode("text"), .verbatim, .noSpellcheck, .maxlength(32)]
        case .search: [.type("search"), .autocomplete("off"), .noSpellcheck, .maxlength(254)]
        case .amount: [.type("text"), .inputmode("decimal"), .autocomplete("off"), .maxlength(24)]
        case .date, .period: [.type("date"), .autocomplete("off")]
        }
    }
}

extension Form {
    /// The switch of the footer. It works without a session, too.
    func languageSwitch(to language: Language, backTo link: Link) -> HTML {
        form(
            "/language", method: "post", [.class("inline")],
            tokens(["language": language.rawValue, "next": link.description])
                + Element("button")(.type("submit"), .class("quiet"), .lang(language)) { language.name })
    }
}
