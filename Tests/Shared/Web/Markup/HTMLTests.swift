import Testing

@testable import Web

struct HTMLTests {
    @Test(arguments: [
        ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;"), ("\0", "\u{FFFD}"), ("&amp;", "&amp;amp;"),
        ("ราคา ฿5 · naïve 😀\n", "ราคา ฿5 · naïve 😀\n"), ("", ""), ("a<ก>b", "a&lt;ก&gt;b"), (hostile, escaped),
    ])
    func `a text and the value of an attribute are escaped alike`(text: String, written: String) {
        #expect(HTML(text).text == written)
        #expect(p(.title(text)) { text }.text == "<p title=\"\(written)\">\(written)</p>")
        #expect(input(.value(text)).text == "<input value=\"\(written)\">")
    }

    @Test func `a literal becomes markup only where the source says so`() {
        #expect(HTML(markup: "<hr>").text == "<hr>")
        let number = 1
        #expect(p { "<hr>\(number)" }.text == "<p>&lt;hr&gt;1</p>")
    }

    @Test func `a builder keeps the order of texts, elements, choices and lists`() {
        func list(_ items: [String], isLong: Bool, note: String?) -> HTML {
            div(.class("a"), .none, .id("b")) {
                "start"
                for item in items { li { item } }
                if isLong { strong { "long" } } else { "short" }
                if let note { span { note } }
                HTML.empty
            }
        }
        let all = list(["1", "2"], isLong: true, note: "<")
        #expect(all.text == #"<div class="a" id="b">start<li>1</li><li>2</li><strong>long</strong><span>&lt;</span></div>"#)
        #expect(list([], isLong: false, note: nil).text == #"<div class="a" id="b">startshort</div>"#)
    }

    /// Every component that shows a value of a running program.
    @Test func `no component lets a value become markup`() {
        let viewer = Viewer.test(principal: .person())
        var sent = FormInput(["field": hostile, "box": "on"])
        sent.refuse("field", hostile)
        let form = Form(viewer, sent)
        let pieces: [(String, HTML)] = [
            ("text", HTML(hostile)), ("element", p { hostile }), ("title", p(.title(hostile)) { "" }), ("id", p(.id(hostile)) { "" }),
            ("link", a(Link("/a").segment(hostile)) { hostile }), ("fragment", a(fragment: hostile) { "" }),
            ("panel", panel(hostile) { "" }), ("notice", notice(.failure) { hostile }), ("facts", facts([(hostile, HTML(hostile))])),
            ("tag", tag(hostile, isWarning: true)), ("code", codeDisplay(hostile)), ("empty", emptyState(hostile)),
            ("button", submit(hostile, choice: (hostile, hostile))), ("link button", linkButton(hostile, "/")),
            ("table", dataTable(hostile, [Column(hostile)], [[HTML(hostile)]])),
            ("form", form("/", hidden: [hostile: hostile]) { hostile }), ("one button", form.button(hostile, "/", hidden: ["a": hostile])),
            ("field", form.field("field", hostile, hint: hostile)), ("field name", form.field(hostile, "")),
            ("choice", form.choice("field", hostile, [Form.Option(hostile, hostile)], hint: hostile)),
            ("box", form.box("box", hostile, hint: hostile)),
            ("search", form.search("/") { hostile }),
        ]
        for (name, piece) in pieces {
            #expect(!piece.text.contains("<script"), "\(name)")
            #expect(!piece.text.contains("\"\">"), "\(name)")
            #expect(piece.text.contains(escaped) || piece.text.contains("%22%3E%3Cscript"), "\(name)")
        }
        let page = viewer.show(Page(hostile)) { h1 { hostile } }
        #expect(!page.text.contains(hostile))
        #expect(page.text.contains("<title>\(escaped) · SmartSpec</title>"))
    }
}
