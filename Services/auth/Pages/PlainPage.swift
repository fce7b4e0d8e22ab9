import HTTP
import HTTPWire

/// A page with a title, and a text or a form of one button.
enum PlainPage {
    /// The page behind a link in a mail, with a button: programs that read mails follow links, so a GET
    /// uses nothing up. It asks for a new password if the link is for one.
    static func ask(_ action: String, title: String, token: String, button: String, asksPassword: Bool) -> Response {
        let field =
            asksPassword
            ? #"<p><label>New password <input type="password" name="new_password" required minlength="8" autocomplete="new-password"></label></p>"#
            : ""
        return page(
            200, title,
            """
            <form method="post" action="\(escaped(action))"><input type="hidden" name="token" value="\(escaped(token))">\
            \(field)<p><button>\(escaped(button))</button></p></form>
            """)
    }

    /// Says how it ended.
    static func tell(_ status: Int, _ title: String, _ text: String) -> Response { page(status, title, "<p>\(escaped(text))</p>") }

    /// Says why a request failed.
    static func tell(_ title: String, _ problem: Problem) -> Response {
        var response = tell(problem.status, title, problem.message)
        if let wait = problem.response.headers.string(for: "retry-after") { response.headers.add("retry-after", wait) }
        return response
    }

    private static func page(_ status: Int, _ title: String, _ body: String) -> Response {
        let text = """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\
            <title>\(escaped(title)) · SmartSpec</title></head><body><main><h1>\(escaped(title))</h1>\(body)</main></body></html>
            """
        return Response(status: status, headers: headers, body: Array(text.utf8))
    }

    private static let headers: HeaderBlock = [
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        "x-frame-options": "DENY", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
    ]

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
            .replacing("'", with: "&#39;")
    }
}
