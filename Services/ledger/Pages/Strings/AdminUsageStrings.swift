import Web

/// The texts of `/admin/usage`.
struct AdminUsageStrings {
    let language: Language

    var title: String { language(en: "Usage", th: "การใช้งาน") }
    var totals: String { language(en: "All accounts", th: "ทุกบัญชี") }
    var accounts: String { language(en: "Accounts", th: "จำนวนบัญชี") }
    var balance: String { language(en: "Balance", th: "ยอดคงเหลือ") }
    var held: String { language(en: "Held", th: "กันไว้") }
    var owed: String { language(en: "Owed", th: "ค้างชำระ") }
    var perDay: String { language(en: "Credits a day", th: "เครดิตต่อวัน") }
    var period: String { language(en: "Period", th: "ช่วงเวลา") }
    var none: String { language(en: "Nobody used credits in this time.", th: "ไม่มีการใช้เครดิตในช่วงนี้") }

    var audit: String { language(en: "Last nightly audit", th: "การตรวจสอบประจำคืนล่าสุด") }
    var noAudit: String {
        language(
            en: "No nightly audit has run yet. The first one runs in the first night.", th: "ยังไม่มีการตรวจสอบประจำคืน ครั้งแรกจะทำในคืนแรก")
    }
    var consistent: String { language(en: "consistent", th: "ถูกต้องตรงกัน") }
    func findings(_ count: Int) -> String { language(en: count == 1 ? "1 finding" : "\(count) findings", th: "พบข้อผิดปกติ \(count) รายการ") }
    var finished: String { language(en: "Finished", th: "เสร็จเมื่อ") }
    var duration: String { language(en: "Took", th: "ใช้เวลา") }
    var checked: String { language(en: "Entries", th: "รายการที่ตรวจ") }
    var holds: String { language(en: "Open holds", th: "การกันเครดิตที่เปิดอยู่") }
    var check: String { language(en: "Check", th: "การตรวจ") }
    var place: String { language(en: "Where", th: "ตำแหน่ง") }
    var detail: String { language(en: "Detail", th: "รายละเอียด") }
    var runbook: String {
        language(
            en: "Journal and tables differ. The runbook says what to do, under “audit mismatch”.",
            th: "สมุดบัญชีกับตารางไม่ตรงกัน ดูวิธีแก้ไขในคู่มือปฏิบัติงาน")
    }
}
