import Web

/// The texts of `/settings/password`.
struct PasswordStrings {
    let language: Language

    var title: String { language(en: "Password", th: "รหัสผ่าน") }
    var intro: String {
        language(
            en: "When you change it, all your other sessions end. API keys go on working.",
            th: "เมื่อเปลี่ยนแล้ว เซสชันอื่นทั้งหมดของคุณจะสิ้นสุดลง ส่วนคีย์ API ยังใช้งานได้ตามปกติ")
    }
    var current: String { language(en: "Current password", th: "รหัสผ่านปัจจุบัน") }
    var new: String { language(en: "New password", th: "รหัสผ่านใหม่") }
    var change: String { language(en: "Change password", th: "เปลี่ยนรหัสผ่าน") }
    var changed: String {
        language(
            en: "Your password is changed. All other sessions have ended; this browser stays signed in.",
            th: "เปลี่ยนรหัสผ่านเรียบร้อยแล้ว เซสชันอื่นทั้งหมดสิ้นสุดลง เบราว์เซอร์นี้ยังอยู่ในระบบ")
    }
    var forgot: String { language(en: "Forgot the password? Ask for a mail.", th: "ลืมรหัสผ่าน? ขอลิงก์ทางอีเมล") }

    var missing: String { language(en: "Enter your current password.", th: "กรอกรหัสผ่านปัจจุบันของคุณ") }
    var wrong: String {
        language(en: "The password is wrong. You can try again now.", th: "รหัสผ่านไม่ถูกต้อง ลองอีกครั้งได้ทันที")
    }
    func tooMany(wait: String) -> String {
        language(en: "Too many attempts. Wait \(wait), then try again.", th: "ลองหลายครั้งเกินไป โปรดรอ \(wait) แล้วลองอีกครั้ง")
    }

    // MARK: An account without a password

    var none: String {
        language(
            en: "Your account has no password, because you sign in by a provider.",
            th: "บัญชีของคุณไม่มีรหัสผ่าน เพราะคุณเข้าสู่ระบบผ่านผู้ให้บริการอื่น")
    }
    var choose: String {
        language(
            en: "To choose one, open the link that we mail you. All your sessions end then, and you sign in again.",
            th: "หากต้องการตั้งรหัสผ่าน ให้เปิดลิงก์ที่เราส่งทางอีเมล จากนั้นทุกเซสชันจะสิ้นสุดลง และคุณต้องเข้าสู่ระบบใหม่")
    }
    var send: String { language(en: "Mail me the link", th: "ส่งลิงก์ทางอีเมล") }
    func mailSent(to email: String) -> String {
        language(
            en: "A link is on its way to \(email). It works for one hour. Look into the spam folder too.",
            th: "กำลังส่งลิงก์ไปที่ \(email) ลิงก์ใช้ได้หนึ่งชั่วโมง โปรดดูในโฟลเดอร์สแปมด้วย")
    }
    var confirmFirst: String {
        language(
            en: "Confirm your email address first. A password that is set before it ends your API keys and connected providers.",
            th: "โปรดยืนยันที่อยู่อีเมลก่อน หากตั้งรหัสผ่านก่อนยืนยัน คีย์ API และผู้ให้บริการที่เชื่อมต่อไว้จะสิ้นสุด")
    }
    var toProfile: String { language(en: "Confirm the address", th: "ยืนยันที่อยู่อีเมล") }
}
