import Web

/// The texts of `/settings/keys`.
struct KeyStrings {
    let language: Language

    // MARK: The list

    var intro: String {
        language(
            en: "With a key, a program of yours uses the gateway and pays with your credits.",
            th: "คีย์ทำให้โปรแกรมของคุณใช้งานเกตเวย์ได้ โดยหักจากเครดิตของคุณ")
    }
    var empty: String {
        language(
            en: "You have no API key yet. Create one to call models from your own programs.",
            th: "คุณยังไม่มีคีย์ API สร้างคีย์เพื่อเรียกใช้โมเดลจากโปรแกรมของคุณ")
    }
    var create: String { language(en: "Create a key", th: "สร้างคีย์") }
    var created: String { language(en: "Created", th: "สร้างเมื่อ") }
    var lastUsed: String { language(en: "last used", th: "ใช้ล่าสุด") }
    var neverUsed: String { language(en: "never used", th: "ยังไม่เคยใช้") }
    var expires: String { language(en: "expires", th: "หมดอายุ") }
    var neverExpires: String { language(en: "does not expire", th: "ไม่มีวันหมดอายุ") }
    var expired: String { language(en: "expired", th: "หมดอายุแล้ว") }
    var aMonth: String { language(en: "a month", th: "ต่อเดือน") }
    var aDay: String { language(en: "a day", th: "ต่อวัน") }
    var atMost: String { language(en: "At most", th: "ใช้ได้ไม่เกิน") }
    var noLimit: String { language(en: "No limit of its own", th: "ไม่ได้กำหนดวงเงินของคีย์นี้") }
    var scopes: String { language(en: "May", th: "ทำได้:") }

    // MARK: A new key

    var name: String { language(en: "Name", th: "ชื่อ") }
    var nameHint: String { language(en: "Where you use it, like “website” or “my laptop”.", th: "ใช้ที่ไหน เช่น “เว็บไซต์” หรือ “แล็ปท็อปของฉัน”") }
    var may: String { language(en: "The key may", th: "คีย์นี้ทำได้") }
    var lastDay: String { language(en: "Last day", th: "ใช้ได้ถึงวันที่") }
    var lastDayHint: String { language(en: "Left empty, the key does not expire.", th: "หากไม่ระบุ คีย์จะไม่หมดอายุ") }
    var monthlyLimit: String { language(en: "Credits a month, at most", th: "เครดิตสูงสุดต่อเดือน") }
    var dailyLimit: String { language(en: "Credits a day, at most", th: "เครดิตสูงสุดต่อวัน") }
    var limitHint: String { language(en: "The limits of your account hold too.", th: "วงเงินของบัญชียังมีผลเช่นกัน") }

    var wrongName: String {
        language(
            en: "Enter a name of 1 to 64 characters, all of them visible.", th: "กรอกชื่อ 1 ถึง 64 อักขระ โดยไม่มีอักขระที่มองไม่เห็น")
    }
    var noScope: String { language(en: "Tick at least one box.", th: "เลือกอย่างน้อยหนึ่งข้อ") }
    var wrongDay: String { language(en: "Enter today or a later day.", th: "ระบุวันนี้หรือวันหลังจากนี้") }
    var wrongLimit: String {
        language(
            en: "Enter a number greater than 0, like 1000 or 12.5, with at most 9 fraction digits.",
            th: "กรอกตัวเลขที่มากกว่า 0 เช่น 1000 หรือ 12.5 มีทศนิยมไม่เกิน 9 ตำแหน่ง")
    }
    func tooMany(_ count: Int64) -> String {
        language(
            en: "Your account has \(count) keys, the most it may have. Revoke one first.",
            th: "บัญชีของคุณมีคีย์ \(count) รายการ ซึ่งเป็นจำนวนสูงสุดแล้ว โปรดเพิกถอนคีย์ที่ไม่ใช้ก่อน")
    }

    var createdTitle: String { language(en: "Your new key", th: "คีย์ใหม่ของคุณ") }
    var copyNow: String {
        language(en: "Copy the key now. It is shown only this once.", th: "คัดลอกคีย์ตอนนี้ คีย์จะแสดงเพียงครั้งเดียวเท่านั้น")
    }
    var example: String { language(en: "Try it on a command line:", th: "ทดลองใช้ในบรรทัดคำสั่ง:") }
    var copied: String { language(en: "I have copied it", th: "ฉันคัดลอกแล้ว") }

    var createdBeforeTitle: String { language(en: "This key was created already", th: "คีย์นี้ถูกสร้างไปแล้ว") }
    var createdBefore: String {
        language(
            en:
                "The form arrived twice, and a key is shown only once. If you did not see it or did not copy it, revoke it and create another one.",
            th: "แบบฟอร์มถูกส่งสองครั้ง และคีย์แสดงเพียงครั้งเดียว หากคุณไม่เห็นหรือไม่ได้คัดลอกไว้ ให้เพิกถอนคีย์นี้แล้วสร้างใหม่")
    }
    var createAnother: String { language(en: "Create another key", th: "สร้างคีย์อื่น") }

    // MARK: The end of a key

    var revoke: String { language(en: "Revoke", th: "เพิกถอน") }
    var revokeThis: String { language(en: "Revoke this key", th: "เพิกถอนคีย์นี้") }
    var revokeTitle: String { language(en: "Revoke this key?", th: "เพิกถอนคีย์นี้หรือไม่?") }
    var revokeIntro: String {
        language(
            en: "Programs that use it are refused at once. A revoked key does not come back.",
            th: "โปรแกรมที่ใช้คีย์นี้จะถูกปฏิเสธทันที และคีย์ที่เพิกถอนแล้วนำกลับมาใช้ไม่ได้อีก")
    }
    var key: String { language(en: "Key", th: "คีย์") }
    var used: String { language(en: "Last used", th: "ใช้ล่าสุด") }
    var never: String { language(en: "never", th: "ไม่เคย") }
    var revoked: String { language(en: "The key is revoked.", th: "เพิกถอนคีย์แล้ว") }
}
