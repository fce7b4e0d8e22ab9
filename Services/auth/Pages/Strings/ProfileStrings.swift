import Web

/// The texts of `/settings` and `/settings/email`.
struct ProfileStrings {
    let language: Language

    var about: String { language(en: "About you", th: "ข้อมูลของคุณ") }
    var name: String { language(en: "Name", th: "ชื่อ") }
    var locale: String { language(en: "Language", th: "ภาษา") }
    var localeHint: String { language(en: "For pages and mails.", th: "สำหรับหน้าเว็บและอีเมล") }
    var timeZone: String { language(en: "Time zone", th: "เขตเวลา") }
    var timeZoneHint: String { language(en: "Choose the nearest city that has your time.", th: "เลือกเมืองใกล้คุณที่ใช้เวลาเดียวกัน") }
    var lowBalanceMail: String { language(en: "Mail me when my credits run low", th: "ส่งอีเมลแจ้งเมื่อเครดิตใกล้หมด") }
    var lowBalanceMailHint: String {
        language(
            en: "Once when they fall below your alert level, and once when they are used up.",
            th: "แจ้งเมื่อเครดิตต่ำกว่าระดับแจ้งเตือน และเมื่อเครดิตหมด")
    }
    var save: String { language(en: "Save", th: "บันทึก") }
    var saved: String { language(en: "Your profile is saved.", th: "บันทึกโปรไฟล์แล้ว") }

    var unknownLocale: String { language(en: "Choose one of the languages.", th: "เลือกภาษาจากรายการ") }
    var unknownTimeZone: String { language(en: "Choose one of the time zones.", th: "เลือกเขตเวลาจากรายการ") }

    // MARK: The address

    var address: String { language(en: "Email address", th: "อีเมล") }
    var addressUse: String { language(en: "You sign in with it, and our mails go there.", th: "ใช้สำหรับเข้าสู่ระบบและรับอีเมลจากเรา") }
    var confirmed: String { language(en: "confirmed", th: "ยืนยันแล้ว") }
    var unconfirmed: String { language(en: "not confirmed", th: "ยังไม่ได้ยืนยัน") }
    var lookIntoMailbox: String {
        language(
            en: "Look into your mailbox, and into the spam folder too: a mail of ours has a link that confirms the address.",
            th: "โปรดตรวจสอบกล่องจดหมายและโฟลเดอร์สแปม แล้วเปิดลิงก์ในอีเมลของเราเพื่อยืนยัน")
    }
    var sendAgain: String { language(en: "Send the mail again", th: "ส่งอีเมลอีกครั้ง") }
    var mailSent: String {
        language(
            en: "The mail is on its way. Its link works for one day, and older links do not work any more.",
            th: "กำลังส่งอีเมล ลิงก์ใช้ได้หนึ่งวัน และลิงก์เก่าจะใช้ไม่ได้อีก")
    }

    var changeAddress: String { language(en: "Change the address", th: "เปลี่ยนอีเมล") }
    var changeIntro: String {
        language(
            en: "We send a link to the new address. Your address changes when you confirm it there.",
            th: "เราจะส่งลิงก์ไปยังอีเมลใหม่ อีเมลของบัญชีจะเปลี่ยนเมื่อคุณยืนยันผ่านลิงก์นั้น")
    }
    var present: String { language(en: "Now", th: "ปัจจุบัน") }
    var newAddress: String { language(en: "New address", th: "อีเมลใหม่") }
    var password: String { language(en: "Password", th: "รหัสผ่าน") }
    var sendLink: String { language(en: "Send the link", th: "ส่งลิงก์") }
    var linkSent: String {
        language(
            en: "A link is on its way to the new address. It works for one hour. Until you confirm it, your address stays as it is.",
            th: "กำลังส่งลิงก์ไปยังอีเมลใหม่ ลิงก์ใช้ได้หนึ่งชั่วโมง ระหว่างนี้อีเมลเดิมยังใช้ได้ตามปกติ")
    }

    var newAddressMissing: String { language(en: "Enter the new address.", th: "กรอกอีเมลใหม่") }
    var sameAddress: String { language(en: "Your account has this address already.", th: "บัญชีของคุณใช้อีเมลนี้อยู่แล้ว") }
    var addressTaken: String { language(en: "Another account has this address.", th: "มีบัญชีอื่นใช้อีเมลนี้แล้ว") }
}
