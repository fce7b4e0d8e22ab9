import Contracts
import Web

/// The texts of `/transactions`.
struct TransactionStrings {
    let language: Language

    var title: String { language(en: "Transactions", th: "รายการ") }
    var allTypes: String { language(en: "All types", th: "ทุกประเภท") }
    var from: String { language(en: "From", th: "ตั้งแต่วันที่") }
    var to: String { language(en: "To", th: "ถึงวันที่") }
    var search: String { language(en: "Search", th: "ค้นหา") }
    var find: String { language(en: "Show", th: "แสดง") }
    var export: String { language(en: "Download as CSV", th: "ดาวน์โหลดเป็น CSV") }
    var showAll: String { language(en: "Show all transactions", th: "แสดงรายการทั้งหมด") }
    var dashboard: String { language(en: "To the dashboard", th: "ไปหน้าภาพรวม") }

    var wrongDay: String { language(en: "Enter a day like 2026-11-20, from 2000 to 2199.", th: "ระบุวันที่ เช่น 2026-11-20 ในปี 2000 ถึง 2199") }
    var wrongOrder: String {
        language(en: "Enter a day that is not after the other one.", th: "ระบุวันที่ไม่หลังวันที่อีกวันหนึ่ง")
    }
    var wrongSearch: String {
        language(en: "Enter at most 200 characters, all of them visible.", th: "กรอกไม่เกิน 200 อักขระ โดยไม่มีอักขระที่มองไม่เห็น")
    }

    var none: String { language(en: "There is no transaction yet.", th: "ยังไม่มีรายการ") }
    var noMatch: String { language(en: "No transaction matches.", th: "ไม่พบรายการที่ตรงกัน") }
    var noMatchHere: String {
        language(
            en: "No match among the newest transactions that one page looks through. Older ones may match.",
            th: "ไม่พบในรายการล่าสุดที่ค้นได้ในหนึ่งหน้า รายการที่เก่ากว่าอาจตรงกัน")
    }

    // MARK: A receipt

    var receipt: String { language(en: "Transaction", th: "รายการ") }
    var amount: String { language(en: "Amount", th: "จำนวน") }
    var before: String { language(en: "Balance before", th: "ยอดก่อนทำรายการ") }
    var after: String { language(en: "Balance after", th: "ยอดหลังทำรายการ") }
    var held: String { language(en: "Held for it", th: "กันไว้สำหรับรายการนี้") }
    var overage: String { language(en: "Used, but not charged", th: "ใช้เกินโดยไม่ถูกหัก") }
    var ends: String { language(en: "Credits end", th: "เครดิตหมดอายุ") }
    var description: String { language(en: "Description", th: "คำอธิบาย") }
    var provider: String { language(en: "Provider", th: "ผู้ให้บริการ") }
    var input: String { language(en: "Tokens in", th: "โทเค็นขาเข้า") }
    var output: String { language(en: "Tokens out", th: "โทเค็นขาออก") }
    var end: String { language(en: "How it ended", th: "จบโดย") }
    var key: String { language(en: "API key", th: "คีย์ API") }
    var service: String { language(en: "Called by", th: "เรียกโดย") }
    var administrator: String { language(en: "Administrator", th: "ผู้ดูแลระบบ") }
    var charge: String { language(en: "Charge", th: "รหัสรายการ") }
    var request: String { language(en: "Request", th: "รหัสคำขอ") }
    var trace: String { language(en: "Trace", th: "รหัสติดตาม") }
    var call: String { language(en: "The call", th: "การเรียกใช้") }
    var ids: String { language(en: "For questions to our support", th: "สำหรับสอบถามฝ่ายสนับสนุน") }
    var steps: String { language(en: "Steps", th: "ขั้นตอน") }
    var step: String { language(en: "Step", th: "ขั้นตอน") }
    var heldAfter: String { language(en: "Held after", th: "ยอดกันไว้หลังขั้นตอน") }
    var back: String { language(en: "All transactions", th: "รายการทั้งหมด") }
    var lateNote: String {
        language(
            en: "The call ended without a settlement in time. It was charged at the usage that was last reported, or later.",
            th: "การเรียกใช้นี้จบโดยไม่มีการสรุปยอดทันเวลา จึงหักตามการใช้งานที่รายงานล่าสุด หรือหักในภายหลัง")
    }
    var estimatedNote: String {
        language(
            en: "The provider did not say what was used. The tokens are counted from what was delivered.",
            th: "ผู้ให้บริการไม่ได้แจ้งปริมาณการใช้ จำนวนโทเค็นจึงนับจากสิ่งที่ส่งถึงคุณ")
    }

    func text(of end: CallFacts.End) -> String {
        switch end {
        case .completed: language(en: "completed", th: "เสร็จสมบูรณ์")
        case .clientDisconnected: language(en: "the client left", th: "ไคลเอนต์ตัดการเชื่อมต่อ")
        case .providerError: language(en: "an error of the provider", th: "ผู้ให้บริการขัดข้อง")
        case .timedOut: language(en: "it took too long", th: "ใช้เวลานานเกินไป")
        case .holdExhausted: language(en: "the credits were used up", th: "เครดิตหมดระหว่างทาง")
        }
    }
}
