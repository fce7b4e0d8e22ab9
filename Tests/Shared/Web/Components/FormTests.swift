import Identity
import Testing

@testable import Web

struct FormTests {
    private let visitor = Viewer.test()

    @Test func `a form has a token only with the session of a browser`() throws {
        let person = Viewer.test(principal: .person())
        for html in [Form(person)("/a") { "" }, Form(person).button("A", "/a")] {
            let token = try #require(html.text.firstMatch(of: /<input type="hidden" name="csrf_token" value="([\w-]{86})">/))
            #expect(!Form(person)("/a") { "" }.text.contains(token.output.1), "each form has another text")
        }
        var byToken = try #require(person.principal)
        byToken.csrf = nil
        for viewer in [visitor, Viewer.test(principal: byToken)] {
            #expect(!Form(viewer)("/a", hidden: ["csrf_token": "mine"]) { "" }.text.contains("csrf_token"))
        }
    }

    @Test func `a form is posted to its action with its hidden fields`() {
        let html = Form(visitor)(Link("/a").with("b", "c"), hidden: ["next": "/\"", "again": "1"]) { submit("Go") }
        #expect(
            html.text
                == #"<form action="/a?b=c" method="post" novalidate><input type="hidden" name="again" value="1">"#
                + #"<input type="hidden" name="next" value="/&quot;"><button type="submit" class="button primary">Go</button></form>"#)
    }

    @Test func `a search is sent by GET without a token`() {
        let html = Form(Viewer.test(principal: .person()), FormInput(["q": "ada"])).search("/users") { "" }
        #expect(html.text == #"<form action="/users" method="get" class="filter" role="search"></form>"#)
    }

    @Test func `a search shows its errors, and keeps what was looked for`() {
        var sent = FormInput(["from": "x"])
        sent.refuse("from", "Enter a day.")
        let form = Form(visitor, sent)
        let html = form.search("/users") { form.field("from", "From", .period) }.text
        #expect(html.contains(##"<ul><li><a href="#from">Enter a day.</a></li></ul>"##))
        #expect(html.contains(#"value="x" aria-describedby="from-error" aria-invalid="true">"#))
    }

    @Test func `a field has its label, and keeps what was sent`() {
        let html = Form(visitor, FormInput(["email": "a@b"])).field("email", "Email", .email, hint: "A hint").text
        #expect(html.contains(#"<label for="email">Email</label><p id="email-hint" class="hint">A hint</p><input id="email" name="email""#))
        #expect(html.contains(#"value="a@b" aria-describedby="email-hint" required>"#))
        #expect(html.contains(#"type="email" autocomplete="username" inputmode="email" autocapitalize="none" spellcheck="false""#))
    }

    @Test func `an optional field says so, and is not required`() {
        let html = Form(visitor).field("name", "Name", .name, isOptional: true).text
        #expect(html.contains(#"<label for="name">Name<span class="muted"> (optional)</span></label>"#))
        #expect(!html.contains(" required"))
        #expect(Form(.test(.th)).field("name", "ชื่อ", isOptional: true).text.contains(" (ไม่บังคับ)"))
    }

    @Test(arguments: [FieldKind.currentPassword, .newPassword])
    func `a secret is never sent back`(kind: FieldKind) {
        let html = Form(visitor, FormInput(["password": "hunter2"])).field("password", "Password", kind).text
        #expect(html.contains(#"type="password""#))
        #expect(!html.contains("hunter2"))
        #expect(!html.contains("value="))
    }

    @Test func `an error stands next to its field, which it describes, and in a summary at the head of the form`() throws {
        var sent = FormInput(["name": "kept"])
        sent.refuse("name", "Enter another name.")
        sent.refuse("plan", "Choose a plan.")
        let form = Form(visitor, sent)
        let html = form("/a") {
            form.field("name", "Name", hint: "A hint")
            form.choice("plan", "Plan", [Form.Option("free", "Free")])
            form.field("other", "Other")
        }.text
        #expect(html.contains(#"<input id="name" name="name""#))
        #expect(html.contains(#"value="kept" aria-describedby="name-hint name-error" aria-invalid="true" required>"#))
        #expect(html.contains(#"<p id="name-error" class="error">Enter another name.</p>"#))
        #expect(html.contains(#"<select id="plan" name="plan" aria-describedby="plan-error" aria-invalid="true">"#))
        #expect(!html.contains("other-error"))
        let summary = try #require(html.firstRange(of: #"<div class="summary" role="alert" tabindex="-1" autofocus>"#))
        let field = try #require(html.firstRange(of: "<label"))
        #expect(summary.lowerBound < field.lowerBound)
        #expect(html.contains(##"<ul><li><a href="#name">Enter another name.</a></li><li><a href="#plan">Choose a plan.</a></li></ul>"##))
        #expect(!Form(visitor)("/a") { "" }.text.contains("summary"))
    }

    @Test func `a choice keeps what was sent`() {
        let options = [Form.Option("en", "English", in: .en), Form.Option("th", "ไทย", in: .th)]
        let html = Form(visitor, FormInput(["language": "th"])).choice("language", "Language", options).text
        #expect(html.contains(#"<option value="en">English</option><option value="th" selected lang="th">ไทย</option>"#))
        #expect(!Form(visitor, FormInput(["language": "fr"])).choice("language", "Language", options).text.contains("selected"))
    }

    @Test func `a box keeps what was sent`() {
        let ticked = Form(visitor, FormInput(["mail": "on"])).box("mail", "Mail me", hint: "A hint").text
        #expect(ticked.contains(#"<input type="checkbox" id="mail" name="mail" value="on" checked aria-describedby="mail-hint">"#))
        #expect(ticked.contains(#"<label for="mail">Mail me</label>"#))
        #expect(!Form(visitor).box("mail", "Mail me").text.contains("checked"))
    }

    @Test func `the buttons of a form tell their choice`() {
        let html = submit("No", .danger, choice: ("action", "deny")).text
        #expect(html == #"<button type="submit" class="button danger" name="action" value="deny">No</button>"#)
    }
}
