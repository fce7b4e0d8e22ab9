import Web

/// The texts of `/dashboard`.
struct DashboardStrings {
    let language: Language

    var title: String { language(en: "Dashboard", th: "ภาพรวม") }
    var available: String { language(en: "Available", th: "เครดิตที่ใช้ได้") }
    var lots: String { language(en: "Credits by their end, in the order of their use", th: "เครดิตตามวันหมดอายุ เรียงตามลำดับการใช้") }
    var source: String { language(en: "From", th: "ที่มา") }
    var ends: String { language(en: "Ends", th: "หมดอายุ") }
    var never: String { language(en: "never", th: "ไม่หมดอายุ") }
    var soon: String { language(en: "soon", th: "เร็ว ๆ นี้") }
    var held: String { language(en: "Held by running calls", th: "กันไว้สำหรับงานที่กำลังทำ") }
    var owed: String { language(en: "Owed", th: "ค้างชำระ") }
    var allowed: String { language(en: "Overdraft", th: "วงเงินเกินยอด") }

    func more(_ count: Int) -> String {
        language(en: count == 1 ? "1 more grant" : "\(count) more grants", th: "อีก \(count) รายการ")
    }

    var thisMonth: String { language(en: "This month", th: "เดือนนี้") }
    var used: String { language(en: "Used", th: "ใช้ไป") }
    var charges: String { language(en: "Charges", th: "จำนวนครั้ง") }
    var limit: String { language(en: "Limit", th: "วงเงิน") }
    var aMonth: String { language(en: "a month", th: "ต่อเดือน") }
    var aDay: String { language(en: "a day", th: "ต่อวัน") }
    var noLimit: String { language(en: "none", th: "ไม่จำกัด") }
    var plan: String { language(en: "Plan", th: "แพ็กเกจ") }
    var lasts: String { language(en: "Lasts", th: "ใช้ได้อีก") }
    var changeLimits: String { language(en: "Change limits", th: "เปลี่ยนวงเงิน") }

    /// - Parameter text: the number of days with its unit.
    func lasting(_ days: Int64, _ text: String) -> String {
        switch days {
        case 0: language(en: "less than a day at this pace", th: "ไม่ถึงหนึ่งวัน หากใช้ในอัตรานี้")
        case ...365: language(en: "about \(text) at this pace", th: "ประมาณ \(text) หากใช้ในอัตรานี้")
        default: language(en: "more than a year at this pace", th: "มากกว่าหนึ่งปี หากใช้ในอัตรานี้")
        }
    }
    func pace(_ days: String) -> String {
        language(en: "At this pace they last about \(days).", th: "หากใช้ในอัตรานี้ จะใช้ได้อีกประมาณ \(days)")
    }
    var paceOfLessThanADay: String {
        language(en: "At this pace they last less than a day.", th: "หากใช้ในอัตรานี้ จะใช้ได้อีกไม่ถึงหนึ่งวัน")
    }

    var perDay: String { language(en: "Credits a day", th: "เครดิตต่อวัน") }
    var period: String { language(en: "Period", th: "ช่วงเวลา") }
    var recent: String { language(en: "Recent transactions", th: "รายการล่าสุด") }
    var all: String { language(en: "All transactions", th: "รายการทั้งหมด") }

    var noCredits: String {
        language(
            en: "You have no credits yet. The free credits arrive when you confirm your email address.",
            th: "คุณยังไม่มีเครดิต เครดิตฟรีจะเข้ามาเมื่อคุณยืนยันที่อยู่อีเมล")
    }
    var confirmAddress: String { language(en: "See my email address", th: "ดูที่อยู่อีเมลของฉัน") }
    var noUsage: String {
        language(
            en: "Nothing was used in this time. Create an API key to call a model from your own programs.",
            th: "ยังไม่มีการใช้งานในช่วงนี้ สร้างคีย์ API เพื่อเรียกใช้โมเดลจากโปรแกรมของคุณ")
    }
    var createKey: String { language(en: "Create a key", th: "สร้างคีย์") }
    var noTransactions: String {
        language(en: "Each change of your balance will stand here.", th: "ทุกการเปลี่ยนแปลงของยอดเครดิตจะแสดงที่นี่")
    }
}
