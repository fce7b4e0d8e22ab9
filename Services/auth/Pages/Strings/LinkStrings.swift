import Web

/// The texts of `/verify` and `/reset`.
struct LinkStrings {
    let language: Language

    // MARK: Confirming an address

    var verifyTitle: String { language(en: "Confirm your email address", th: "ยืนยันที่อยู่อีเมลของคุณ") }
    var verifyIntro: String {
        language(
            en: "Confirm only if you made this account yourself. Else it belongs to somebody who used your address.",
            th: "ยืนยันเฉพาะเมื่อคุณเป็นผู้สร้างบัญชีนี้เอง มิฉะนั้นอาจเป็นบัญชีของผู้อื่นที่ใช้ที่อยู่ของคุณ")
    }
    var changeIntro: String {
        language(
            en: "An account takes this as its new address. Confirm only if you asked for it.",
            th: "บัญชีหนึ่งขอเปลี่ยนมาใช้ที่อยู่นี้ ยืนยันเฉพาะเมื่อคุณเป็นผู้ขอเปลี่ยน")
    }
    var registered: String { language(en: "Account of", th: "บัญชีที่สร้างเมื่อ") }
    var verify: String { language(en: "Confirm", th: "ยืนยัน") }
    var refuse: String { language(en: "This was not me", th: "ไม่ใช่ฉัน") }
    var refusedTitle: String { language(en: "Nothing is confirmed", th: "ไม่มีการยืนยัน") }
    var refused: String {
        language(
            en: "The link does not work any more. If you want an account of your own, choose “Forgot password?” on the sign-in page.",
            th: "ลิงก์นี้ใช้ไม่ได้อีก หากคุณต้องการใช้บัญชีนี้เอง ให้เลือก “ลืมรหัสผ่าน?” ในหน้าเข้าสู่ระบบ")
    }
    var verifiedTitle: String { language(en: "Your email address is confirmed", th: "ยืนยันที่อยู่อีเมลเรียบร้อยแล้ว") }
    var verified: String {
        language(en: "If this is a new account, its free credits arrive in a moment.", th: "หากเป็นบัญชีใหม่ เครดิตฟรีจะมาถึงในอีกสักครู่")
    }
    var takenTitle: String { language(en: "This address is in use", th: "ที่อยู่นี้ถูกใช้แล้ว") }
    var taken: String {
        language(en: "Another account has this address. Choose another one in the settings.", th: "มีบัญชีอื่นใช้ที่อยู่นี้แล้ว โปรดเลือกที่อยู่อื่นในหน้าตั้งค่า")
    }

    // MARK: Choosing a new password

    var forgotTitle: String { language(en: "Forgot your password?", th: "ลืมรหัสผ่าน?") }
    var forgotIntro: String {
        language(
            en: "Enter the address of your account. We send a link by which you choose a new password.",
            th: "กรอกที่อยู่อีเมลของบัญชี เราจะส่งลิงก์สำหรับตั้งรหัสผ่านใหม่")
    }
    var email: String { language(en: "Email", th: "อีเมล") }
    var emailMissing: String { language(en: "Enter your email address.", th: "กรอกที่อยู่อีเมลของคุณ") }
    var send: String { language(en: "Send the link", th: "ส่งลิงก์") }
    var sentTitle: String { language(en: "Check your email", th: "ตรวจสอบอีเมลของคุณ") }
    var sent: String {
        language(
            en: "If an account has this address, a link is on its way. It works for one hour. Look into the spam folder too.",
            th: "หากมีบัญชีที่ใช้ที่อยู่นี้ ลิงก์กำลังส่งไป ใช้ได้หนึ่งชั่วโมง โปรดดูในโฟลเดอร์สแปมด้วย")
    }
    var resetTitle: String { language(en: "Choose a new password", th: "ตั้งรหัสผ่านใหม่") }
    var resetIntro: String {
        language(
            en: "All sessions of the account end. If its address was not confirmed before, its API keys and connected providers end too.",
            th: "เซสชันทั้งหมดของบัญชีจะสิ้นสุดลง หากยังไม่เคยยืนยันที่อยู่อีเมล คีย์ API และผู้ให้บริการที่เชื่อมต่อไว้จะสิ้นสุดด้วย")
    }
    var newPassword: String { language(en: "New password", th: "รหัสผ่านใหม่") }
    var reset: String { language(en: "Change password", th: "เปลี่ยนรหัสผ่าน") }
    var changedTitle: String { language(en: "Your password is changed", th: "เปลี่ยนรหัสผ่านเรียบร้อยแล้ว") }
    var changed: String { language(en: "Sign in with the new password.", th: "เข้าสู่ระบบด้วยรหัสผ่านใหม่") }
    var signIn: String { language(en: "Sign in", th: "เข้าสู่ระบบ") }

    // MARK: Both

    var invalidTitle: String { language(en: "This link is not valid", th: "ลิงก์นี้ใช้ไม่ได้") }
    var invalid: String {
        language(
            en: "It was used before, a newer mail replaced it, or it has expired. Ask for a new mail.",
            th: "ลิงก์ถูกใช้ไปแล้ว มีอีเมลฉบับใหม่แทนที่ หรือหมดอายุ โปรดขออีเมลใหม่")
    }
    var askAgain: String { language(en: "Ask for a new mail", th: "ขออีเมลใหม่") }
    var next: String { language(en: "Continue", th: "ดำเนินการต่อ") }
}
