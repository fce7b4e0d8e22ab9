import Web

/// The texts of `/admin/payments`.
struct PaymentStrings {
    let language: Language

    var title: String { language(en: "Payments", th: "การชำระเงิน") }
    var events: String { language(en: "Events of Stripe", th: "เหตุการณ์จาก Stripe") }
    var event: String { language(en: "Event", th: "เหตุการณ์") }
    var back: String { language(en: "All events", th: "เหตุการณ์ทั้งหมด") }
    var dead: String {
        language(
            en: "Some events are dead: they failed too often, and wait for you.",
            th: "มีเหตุการณ์ที่ล้มเหลวหลายครั้งเกินไปและหยุดดำเนินการแล้ว")
    }
    var showDead: String { language(en: "Show dead events", th: "ดูเหตุการณ์ที่หยุดแล้ว") }
    var state: String { language(en: "State", th: "สถานะ") }
    var all: String { language(en: "All", th: "ทั้งหมด") }
    var find: String { language(en: "Show", th: "แสดง") }
    var none: String { language(en: "No event has this state.", th: "ไม่มีเหตุการณ์ในสถานะนี้") }
    var noneYet: String { language(en: "Stripe has sent no event yet.", th: "Stripe ยังไม่ได้ส่งเหตุการณ์ใด ๆ") }

    var received: String { language(en: "Received", th: "ได้รับ") }
    var type: String { language(en: "Type", th: "ประเภท") }
    var object: String { language(en: "Object", th: "วัตถุ") }
    var attempts: String { language(en: "Attempts", th: "จำนวนครั้งที่ลอง") }
    var deliveries: String { language(en: "Deliveries", th: "จำนวนครั้งที่ส่ง") }
    var foundBy: String { language(en: "Found by", th: "พบโดย") }
    var created: String { language(en: "Created at Stripe", th: "สร้างที่ Stripe") }
    var error: String { language(en: "Last error", th: "ข้อผิดพลาดล่าสุด") }
    var body: String { language(en: "Body", th: "เนื้อหา") }
    var id: String { language(en: "Id", th: "รหัส") }

    /// - Parameter state: one of ``ListEvents/states``.
    func name(of state: String) -> String {
        switch state {
        case "received": language(en: "received", th: "ได้รับแล้ว")
        case "working": language(en: "in work", th: "กำลังดำเนินการ")
        case "retry": language(en: "to be retried", th: "รอลองใหม่")
        case "done": language(en: "done", th: "เสร็จแล้ว")
        case "ignored": language(en: "ignored", th: "ข้าม")
        default: language(en: "dead", th: "หยุดแล้ว")
        }
    }

    func found(by: String) -> String {
        by == "webhook" ? language(en: "webhook", th: "เว็บฮุก") : language(en: "sweep", th: "การตรวจซ้ำ")
    }

    var replay: String { language(en: "Replay", th: "ดำเนินการอีกครั้ง") }
    var replayText: String {
        language(
            en: "The object is fetched from Stripe again, and what follows is done. What was done before is not done twice.",
            th: "ระบบจะดึงข้อมูลจาก Stripe อีกครั้งและดำเนินการต่อ สิ่งที่ทำไปแล้วจะไม่ทำซ้ำ")
    }
    var replayed: String { language(en: "The event is worked on again.", th: "เริ่มดำเนินการเหตุการณ์อีกครั้งแล้ว") }
    var inWork: String {
        language(en: "The event is in work already.", th: "เหตุการณ์นี้กำลังดำเนินการอยู่แล้ว")
    }

    var review: String { language(en: "Payments to be checked", th: "การชำระเงินที่ต้องตรวจสอบ") }
    var reviewText: String {
        language(
            en:
                "These give no credits until you act. Mend the cause and decide again; or refund at Stripe, or grant by hand, and close. The runbook has the cases.",
            th:
                "รายการเหล่านี้จะยังไม่ได้รับเครดิตจนกว่าคุณจะดำเนินการ แก้สาเหตุแล้วตัดสินใหม่ หรือคืนเงินที่ Stripe หรือให้เครดิตเองแล้วปิดรายการ ดูรายละเอียดในคู่มือปฏิบัติงาน"
        )
    }
    var noReview: String { language(en: "Nothing is to be checked.", th: "ไม่มีรายการที่ต้องตรวจสอบ") }
    var when: String { language(en: "When", th: "เมื่อ") }
    var user: String { language(en: "User", th: "ผู้ใช้") }
    var reason: String { language(en: "Reason", th: "เหตุผล") }
    var acts: String { language(en: "Acts", th: "การดำเนินการ") }
    var decide: String { language(en: "Decide again", th: "ตัดสินใหม่") }
    var close: String { language(en: "Close without credits", th: "ปิดโดยไม่ให้เครดิต") }

    func done(_ done: AdminPaymentPages.Done) -> String {
        switch done {
        case .decided: language(en: "The payment was settled.", th: "ดำเนินการรายการชำระเงินแล้ว")
        case .closed: language(en: "The payment was closed without credits.", th: "ปิดรายการชำระเงินโดยไม่ให้เครดิตแล้ว")
        case .waits: language(en: "The payment still waits. Its reason is below.", th: "รายการนี้ยังต้องรอ ดูเหตุผลด้านล่าง")
        }
    }
}
