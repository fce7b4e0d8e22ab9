import LedgerCore
import Web

/// The words for changes of a balance.
struct EntryStrings {
    let language: Language

    /// - Parameter type: a type of `Entry.Kind`.
    func name(of type: String) -> String {
        switch type {
        case "usage": language(en: "Usage", th: "ใช้งาน")
        case "purchase": language(en: "Purchase", th: "ซื้อ")
        case "plan_grant": language(en: "Plan", th: "แพ็กเกจ")
        case "bonus": language(en: "Bonus", th: "โบนัส")
        case "refund": language(en: "Refund", th: "คืนเครดิต")
        case "adjustment": language(en: "Adjustment", th: "ปรับยอด")
        case "topup": language(en: "Top-up", th: "เติมเครดิต")
        case "clawback": language(en: "Taken back", th: "เรียกคืน")
        case "expiry": language(en: "Expired", th: "หมดอายุ")
        default: type
        }
    }

    /// The types that a person may look for.
    static let types = ["usage", "purchase", "plan_grant", "bonus", "topup", "refund", "adjustment", "clawback", "expiry"]

    var late: String { language(en: "late", th: "ล่าช้า") }
    var estimated: String { language(en: "estimated", th: "ประมาณการ") }
    var hold: String { language(en: "Hold", th: "กันเครดิต") }
    var extend: String { language(en: "Hold extended", th: "กันเครดิตเพิ่ม") }
    var void: String { language(en: "Hold released", th: "ปล่อยเครดิตที่กันไว้") }
    var expire: String { language(en: "Hold ended", th: "การกันเครดิตสิ้นสุด") }
    var capture: String { language(en: "Charged", th: "หักเครดิต") }
    var lateCapture: String { language(en: "Charged late", th: "หักเครดิตล่าช้า") }

    /// A step of a charge.
    func step(_ kind: Entry.Kind) -> String {
        switch kind {
        case .hold: hold
        case .extend: extend
        case .void: void
        case .expire: expire
        case .capture, .charge: capture
        case .lateCapture: lateCapture
        default: name(of: kind.type)
        }
    }

    // MARK: Tables

    var when: String { language(en: "When", th: "เมื่อ") }
    var type: String { language(en: "Type", th: "ประเภท") }
    var what: String { language(en: "What", th: "รายละเอียด") }
    var credits: String { language(en: "Credits", th: "เครดิต") }
    var balance: String { language(en: "Balance", th: "ยอดคงเหลือ") }
    var day: String { language(en: "Day", th: "วัน") }
    var calls: String { language(en: "Charges", th: "จำนวนครั้ง") }
    var model: String { language(en: "Model", th: "โมเดล") }
    var models: String { language(en: "Models", th: "โมเดล") }
    var operations: String { language(en: "Features", th: "ฟีเจอร์") }
    func changes(_ days: String) -> String { language(en: "All changes in \(days)", th: "การเปลี่ยนแปลงทั้งหมดใน \(days)") }
    var operation: String { language(en: "Feature", th: "ฟีเจอร์") }
    var others: String { language(en: "all others", th: "อื่น ๆ ทั้งหมด") }
    var without: String { language(en: "without a name", th: "ไม่ระบุชื่อ") }
}
