import Web

/// The texts of `/login`.
struct SignInStrings {
    let language: Language

    var title: String { language(en: "Sign in", th: "เข้าสู่ระบบ") }
    var intro: String { language(en: "Use your SmartSpec account.", th: "ใช้บัญชี SmartSpec ของคุณ") }
    var againTitle: String { language(en: "Sign in again", th: "เข้าสู่ระบบอีกครั้ง") }
    var againIntro: String {
        language(
            en: "This step needs a recent sign-in, so that nobody else can do it from your open browser.",
            th: "ขั้นตอนนี้ต้องเข้าสู่ระบบใหม่ เพื่อไม่ให้ผู้อื่นทำแทนจากเบราว์เซอร์ที่คุณเปิดค้างไว้")
    }
    var email: String { language(en: "Email", th: "อีเมล") }
    var password: String { language(en: "Password", th: "รหัสผ่าน") }
    var forgot: String { language(en: "Forgot password?", th: "ลืมรหัสผ่าน?") }
    var isNew: String { language(en: "New here?", th: "ยังไม่มีบัญชี?") }
    var register: String { language(en: "Create an account", th: "สร้างบัญชี") }
    var signedOut: String { language(en: "You are signed out.", th: "คุณออกจากระบบแล้ว") }

    var emailMissing: String { language(en: "Enter your email address.", th: "กรอกที่อยู่อีเมลของคุณ") }
    var passwordMissing: String { language(en: "Enter your password.", th: "กรอกรหัสผ่านของคุณ") }
    var wrong: String {
        language(en: "Email or password is wrong. You can try again now.", th: "อีเมลหรือรหัสผ่านไม่ถูกต้อง ลองอีกครั้งได้ทันที")
    }
    func tooMany(wait: String) -> String {
        language(en: "Too many failed attempts. Wait \(wait), then try again.", th: "ลองผิดหลายครั้งเกินไป โปรดรอ \(wait) แล้วลองอีกครั้ง")
    }
    var deactivated: String {
        language(
            en: "This account is deactivated. Write to our support to use it again.", th: "บัญชีนี้ถูกปิดใช้งาน โปรดติดต่อฝ่ายสนับสนุนเพื่อเปิดใช้งานอีกครั้ง")
    }
}
