import Web

/// The texts of `/register`.
struct RegisterStrings {
    let language: Language

    var title: String { language(en: "Create an account", th: "สร้างบัญชี") }
    var intro: String {
        language(en: "Confirm your address and get 10 free credits a month.", th: "ยืนยันที่อยู่อีเมลแล้วรับ 10 เครดิตฟรีทุกเดือน")
    }
    var name: String { language(en: "Name", th: "ชื่อ") }
    var email: String { language(en: "Email", th: "อีเมล") }
    var emailHint: String { language(en: "We send a link that confirms it.", th: "เราจะส่งลิงก์ยืนยันไปให้") }
    var password: String { language(en: "Password", th: "รหัสผ่าน") }
    var submit: String { language(en: "Create account", th: "สร้างบัญชี") }
    var hasAccount: String { language(en: "Already have an account?", th: "มีบัญชีแล้ว?") }
    var signIn: String { language(en: "Sign in", th: "เข้าสู่ระบบ") }

    var emailMissing: String { language(en: "Enter your email address.", th: "กรอกที่อยู่อีเมลของคุณ") }
    var emailTaken: String {
        language(
            en: "An account has this address. Sign in, or choose “Forgot password?” on the sign-in page.",
            th: "มีบัญชีที่ใช้ที่อยู่นี้แล้ว โปรดเข้าสู่ระบบ หรือเลือก “ลืมรหัสผ่าน?” ในหน้าเข้าสู่ระบบ")
    }
    func tooMany(wait: String) -> String {
        language(
            en: "Too many new accounts from your network. Wait \(wait), then try again.",
            th: "มีการสร้างบัญชีจากเครือข่ายของคุณมากเกินไป โปรดรอ \(wait) แล้วลองอีกครั้ง")
    }
}
