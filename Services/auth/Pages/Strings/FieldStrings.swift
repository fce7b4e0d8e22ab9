import Web

/// The errors of fields that several forms have.
struct FieldStrings {
    let language: Language

    var malformedEmail: String {
        language(en: "Enter an email address like name@example.com.", th: "กรอกอีเมลในรูปแบบ name@example.com")
    }
    var malformedName: String {
        language(
            en: "Enter a name of at most 200 characters, all of them visible.", th: "กรอกชื่อไม่เกิน 200 อักขระ โดยไม่มีอักขระที่มองไม่เห็น")
    }
    var passwordHint: String { language(en: "At least 8 characters. A few words are best.", th: "อย่างน้อย 8 อักขระ ใช้หลายคำจะดีที่สุด") }

    func tooManyMails(wait: String) -> String {
        language(en: "Too many mails. Wait \(wait), then try again.", th: "ส่งอีเมลมากเกินไป โปรดรอ \(wait) แล้วลองอีกครั้ง")
    }

    func password(_ refusal: PasswordPolicy.Refusal) -> String {
        switch refusal {
        case .tooShort: language(en: "Enter at least 8 characters.", th: "กรอกอย่างน้อย 8 อักขระ")
        case .tooLong: language(en: "This password is too long.", th: "รหัสผ่านยาวเกินไป")
        case .blank: language(en: "Enter more than spaces.", th: "รหัสผ่านต้องไม่เป็นช่องว่างทั้งหมด")
        case .common:
            language(en: "This password is easy to guess. Choose another.", th: "รหัสผ่านนี้เดาง่ายมาก โปรดเลือกรหัสอื่น")
        case .sameAsEmail: language(en: "Choose a password that is not your email address.", th: "เลือกรหัสผ่านที่ไม่ใช่ที่อยู่อีเมลของคุณ")
        }
    }
}
