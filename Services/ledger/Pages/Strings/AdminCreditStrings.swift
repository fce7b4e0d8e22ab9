import Web

/// The texts of `/admin/credits`.
struct AdminCreditStrings {
    let language: Language

    var title: String { language(en: "Credits", th: "เครดิต") }
    var search: String { language(en: "User id", th: "รหัสผู้ใช้") }
    var searchHint: String {
        language(en: "The page of a user shows it, under Users.", th: "ดูได้ในหน้าของผู้ใช้ ที่เมนูผู้ใช้")
    }
    var find: String { language(en: "Open", th: "เปิด") }
    var wrongID: String { language(en: "Enter the whole id of a user.", th: "กรอกรหัสผู้ใช้ให้ครบถ้วน") }
    var users: String { language(en: "Find a user by address", th: "ค้นหาผู้ใช้ด้วยอีเมล") }

    // MARK: An account

    var account: String { language(en: "Account", th: "บัญชี") }
    var user: String { language(en: "User", th: "ผู้ใช้") }
    var profile: String { language(en: "Profile and sessions", th: "โปรไฟล์และเซสชัน") }
    var available: String { language(en: "Available", th: "เครดิตที่ใช้ได้") }
    var balance: String { language(en: "Balance", th: "ยอดคงเหลือ") }
    var held: String { language(en: "Held", th: "กันไว้") }
    var owed: String { language(en: "Owed", th: "ค้างชำระ") }
    var overdraft: String { language(en: "Overdraft", th: "วงเงินเกินยอด") }
    var daily: String { language(en: "Daily limit", th: "วงเงินต่อวัน") }
    var monthly: String { language(en: "Monthly limit", th: "วงเงินต่อเดือน") }
    var noLimit: String { language(en: "none", th: "ไม่จำกัด") }
    var entries: String { language(en: "Journal entries", th: "รายการในสมุดบัญชี") }
    var recent: String { language(en: "Recent transactions", th: "รายการล่าสุด") }
    var all: String { language(en: "All transactions", th: "รายการทั้งหมด") }
    var none: String {
        language(en: "This account never had credits. The id may belong to no user.", th: "บัญชีนี้ยังไม่เคยมีเครดิต รหัสนี้อาจไม่ใช่ของผู้ใช้คนใด")
    }
    var adjusted: String { language(en: "The credits are adjusted.", th: "ปรับเครดิตแล้ว") }

    // MARK: An adjustment

    var adjust: String { language(en: "Adjust credits", th: "ปรับเครดิต") }
    var type: String { language(en: "Type", th: "ประเภท") }
    var amount: String { language(en: "Credits", th: "เครดิต") }
    var amountHint: String {
        language(en: "Only an adjustment can be below 0, like -12.5.", th: "เฉพาะการปรับยอดเท่านั้นที่ติดลบได้ เช่น -12.5")
    }
    var reason: String { language(en: "Reason", th: "เหตุผล") }
    var reasonHint: String { language(en: "The user reads it in the history.", th: "ผู้ใช้จะเห็นเหตุผลนี้ในรายการ") }
    var lastDay: String { language(en: "Last day", th: "ใช้ได้ถึงวันที่") }
    var lastDayHint: String {
        language(en: "Of a top-up or a bonus. Left empty, the credits do not end.", th: "สำหรับการเติมเครดิตหรือโบนัส หากไม่ระบุ เครดิตจะไม่หมดอายุ")
    }
    var next: String { language(en: "Continue", th: "ต่อไป") }
    var change: String { language(en: "Change", th: "แก้ไข") }
    var askTitle: String { language(en: "Adjust the credits of this user?", th: "ปรับเครดิตของผู้ใช้นี้หรือไม่?") }
    var availableNow: String { language(en: "Available now", th: "ใช้ได้ตอนนี้") }

    func wrongAmount(_ most: String) -> String {
        language(
            en: "Enter a number above 0, at most \(most), with at most 9 fraction digits. An adjustment may be below 0.",
            th: "กรอกตัวเลขที่มากกว่า 0 ไม่เกิน \(most) มีทศนิยมไม่เกิน 9 ตำแหน่ง การปรับยอดติดลบได้")
    }
    var wrongReason: String {
        language(
            en: "Enter a reason of 1 to 500 characters, all of them visible.", th: "กรอกเหตุผล 1 ถึง 500 อักขระ โดยไม่มีอักขระที่มองไม่เห็น")
    }
    var wrongDay: String { language(en: "Enter today or a later day, before the year 2200.", th: "ระบุวันนี้หรือวันหลังจากนี้ ก่อนปี 2200") }
    var noEnd: String {
        language(en: "Only a top-up or a bonus has a last day.", th: "เฉพาะการเติมเครดิตหรือโบนัสเท่านั้นที่กำหนดวันสุดท้ายได้")
    }
    func tooFew(_ available: String) -> String {
        language(en: "The account has only \(available).", th: "บัญชีนี้มีเพียง \(available)")
    }
    var outOfRange: String { language(en: "The balance would become too large.", th: "ยอดเครดิตจะสูงเกินไป") }
    var usedBefore: String {
        language(
            en: "This form was already used for another adjustment. Check the history, then send it again.",
            th: "แบบฟอร์มนี้ถูกใช้กับการปรับยอดอื่นไปแล้ว โปรดตรวจสอบรายการ แล้วส่งอีกครั้ง")
    }
}
