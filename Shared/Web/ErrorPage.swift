package import HTTP
import HTTPWire

/// The page of a request that was refused.
extension Viewer {
    /// Says what went wrong and what to do. A person who must sign in first is led to the sign-in page,
    /// and from there back to the page of this request.
    /// - Parameter sent: the form that was refused, which a button sends again. A form with a secret is left out.
    package func show(_ problem: Problem, sent: FormInput = FormInput()) -> Response {
        switch problem.code {
        case .invalidAPIKey, .tokenExpired, .tokenRevoked: return seeOther(Link("/login").with("next", here.description))
        case .reauthenticationRequired:
            return seeOther(Link("/login").with("again", "1").with("next", here.description))
        default: break
        }
        let strings = ErrorStrings(language: language)
        let text = strings.text(of: problem, self)
        let isWorthAnotherTry = [.csrfFailed, .rateLimited].contains(problem.code) || problem.status >= 500
        let form = isWorthAnotherTry ? sent.sendingAgain : nil
        // The address of a refused page may be a secret; that of a form never is.
        var response = show(Page(text.title, status: problem.status, sendsNoReferrer: form == nil)) {
            panel {
                h1 { text.title }
                p { text.advice }
                if let form {
                    Form(self)(here, hidden: form) { submit(strings.sendAgain) }
                } else {
                    linkButton(text.act, text.link, .primary)
                }
            }
        }
        for name in ["retry-after", "allow"] as [StaticString] {
            if let value = problem.headers.string(for: name) { response.headers.add(name, value) }
        }
        return response
    }

    /// Leads the browser to a page after a form (303).
    package func seeOther(_ link: Link) -> Response { seeOther(link.description) }

    /// Leads the browser to another host after a form (303). The policy of the page must allow its origin.
    package func seeOther(_ link: OutsideLink) -> Response { seeOther(link.description) }

    private func seeOther(_ address: String) -> Response {
        Response(status: 303, headers: ["location": address, "cache-control": "no-store"])
    }
}

private struct ErrorStrings {
    let language: Language

    var sendAgain: String { language(en: "Send the form again", th: "ส่งแบบฟอร์มอีกครั้ง") }

    typealias Text = (title: String, advice: String, act: String, link: Link)

    func text(of problem: Problem, _ viewer: Viewer) -> Text {
        let again = language(en: "Open the page again", th: "เปิดหน้านี้อีกครั้ง")
        let home = language(en: "Go to the start page", th: "ไปหน้าแรก")
        switch problem.code {
        case .notFound, .methodNotAllowed:
            return (
                language(en: "This page does not exist", th: "ไม่พบหน้านี้"),
                language(en: "The address is mistyped, or what it showed was deleted.", th: "ที่อยู่อาจพิมพ์ผิด หรือสิ่งที่เคยแสดงถูกลบไปแล้ว"), home, "/"
            )
        case .csrfFailed where problem.param == "origin":
            return (
                language(en: "This address is not ours", th: "ที่อยู่นี้ไม่ใช่ของเรา"),
                language(
                    en: "The form was sent from another site, or from another address of this one. Nothing was changed.",
                    th: "แบบฟอร์มถูกส่งจากเว็บไซต์อื่น หรือจากที่อยู่อื่นของเว็บไซต์นี้ ไม่มีการเปลี่ยนแปลงใด ๆ"),
                home, Link("/")
            )
        case .csrfFailed:
            return (
                language(en: "This form is out of date", th: "แบบฟอร์มนี้หมดอายุแล้ว"),
                language(
                    en: "You signed in again after you opened it. Nothing was changed. Send the form again.",
                    th: "คุณเข้าสู่ระบบอีกครั้งหลังจากเปิดแบบฟอร์มนี้ ไม่มีการเปลี่ยนแปลงใด ๆ โปรดส่งแบบฟอร์มอีกครั้ง"),
                again, viewer.here
            )
        case .adminRequired:
            return (
                language(en: "For administrators only", th: "สำหรับผู้ดูแลระบบเท่านั้น"),
                language(en: "Your account may not open this page.", th: "บัญชีของคุณไม่มีสิทธิ์เปิดหน้านี้"), home, "/"
            )
        case .userDeactivated:
            return (
                language(en: "This account is deactivated", th: "บัญชีนี้ถูกปิดใช้งาน"),
                language(en: "Write to our support to use it again.", th: "โปรดติดต่อฝ่ายสนับสนุนเพื่อเปิดใช้งานอีกครั้ง"),
                language(en: "Sign in with another account", th: "เข้าสู่ระบบด้วยบัญชีอื่น"), "/login"
            )
        case .rateLimited:
            return (
                language(en: "Too many attempts", th: "ลองหลายครั้งเกินไป"),
                language(en: "Wait \(wait(problem, viewer)), then try again.", th: "โปรดรอ \(wait(problem, viewer)) แล้วลองอีกครั้ง"),
                again, viewer.here
            )
        case _ where problem.status >= 500:
            return (
                language(en: "This does not work at the moment", th: "ขณะนี้ระบบไม่พร้อมใช้งาน"),
                language(
                    en: "The fault is ours. Try again in a moment.", th: "เป็นความผิดพลาดของเรา โปรดลองอีกครั้งในอีกสักครู่"),
                again, viewer.here
            )
        default:
            return (
                language(en: "This request cannot be read", th: "ไม่สามารถอ่านคำขอนี้ได้"),
                language(en: "Open the page again, and send its form.", th: "โปรดเปิดหน้านี้อีกครั้ง แล้วส่งแบบฟอร์ม"), again, viewer.here.path
            )
        }
    }

    private func wait(_ problem: Problem, _ viewer: Viewer) -> String {
        viewer.length(.seconds(problem.headers.string(for: "retry-after").flatMap { Int($0) } ?? 60))
    }
}
