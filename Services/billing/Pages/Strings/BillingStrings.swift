import Web

/// The texts of `/billing`.
struct BillingStrings {
    let language: Language

    var title: String { language(en: "Billing", th: "การชำระเงิน") }

    // MARK: The plan

    var plan: String { language(en: "Plan", th: "แพ็กเกจ") }
    var price: String { language(en: "Price", th: "ราคา") }
    var nextPayment: String { language(en: "Next payment", th: "ชำระครั้งถัดไป") }
    var ends: String { language(en: "Ends", th: "สิ้นสุด") }
    var nextPlan: String { language(en: "Next plan", th: "แพ็กเกจถัดไป") }
    func from(_ plan: String, _ day: String) -> String { language(en: "\(plan), from \(day)", th: "\(plan) ตั้งแต่ \(day)") }
    var free: String {
        language(
            en: "You pay for no plan. The free credits come every month.", th: "คุณไม่ได้สมัครแพ็กเกจที่ต้องชำระเงิน เครดิตฟรีจะเข้าทุกเดือน")
    }
    var seePlans: String { language(en: "See the plans", th: "ดูแพ็กเกจ") }
    var changePlan: String { language(en: "Change the plan", th: "เปลี่ยนแพ็กเกจ") }
    var cancelPlan: String { language(en: "Cancel the plan", th: "ยกเลิกแพ็กเกจ") }

    var failedPayment: String {
        language(
            en: "Your last payment failed. Pay it, or store another card, to keep your plan.",
            th: "การชำระเงินครั้งล่าสุดไม่สำเร็จ โปรดชำระเงินหรือบันทึกบัตรอื่นเพื่อใช้แพ็กเกจต่อ")
    }
    var pending: String {
        language(
            en: "Your bank wants you to confirm the payment. Pay the open invoice below; the plan changes when it is paid.",
            th: "ธนาคารต้องการให้คุณยืนยันการชำระเงิน โปรดชำระใบแจ้งหนี้ที่ค้างด้านล่าง แพ็กเกจจะเปลี่ยนเมื่อชำระแล้ว")
    }
    var openPortal: String { language(en: "Manage cards and payment details", th: "จัดการบัตรและข้อมูลการชำระเงิน") }

    // MARK: Payment methods

    var methods: String { language(en: "Payment methods", th: "วิธีชำระเงิน") }
    func endingIn(_ digits: String) -> String { language(en: "ending in \(digits)", th: "ลงท้าย \(digits)") }
    func expires(_ month: String) -> String { language(en: "expires \(month)", th: "หมดอายุ \(month)") }
    var standard: String { language(en: "Default", th: "ค่าเริ่มต้น") }
    var noMethods: String {
        language(
            en: "No card is stored. Stripe stores one when you subscribe to a plan.", th: "ยังไม่มีบัตรที่บันทึกไว้ Stripe จะบันทึกบัตรเมื่อคุณสมัครแพ็กเกจ")
    }
    var unavailable: String {
        language(
            en: "Our payment provider does not answer at the moment. Try again in a minute.",
            th: "ผู้ให้บริการรับชำระเงินไม่ตอบสนองในขณะนี้ โปรดลองอีกครั้งในอีกสักครู่")
    }
    var atStripe: String {
        language(
            en: "The page of Stripe opens. There you change cards, your address and your tax number.",
            th: "ระบบจะเปิดหน้าของ Stripe ซึ่งคุณเปลี่ยนบัตร ที่อยู่ และเลขประจำตัวผู้เสียภาษีได้")
    }

    // MARK: Lists

    var invoices: String { language(en: "Invoices", th: "ใบแจ้งหนี้") }
    var number: String { language(en: "Number", th: "เลขที่") }
    var date: String { language(en: "Date", th: "วันที่") }
    var state: String { language(en: "State", th: "สถานะ") }
    var amount: String { language(en: "Amount", th: "จำนวนเงิน") }
    var documents: String { language(en: "Documents", th: "เอกสาร") }
    var view: String { language(en: "View", th: "ดู") }
    var pay: String { language(en: "Pay", th: "ชำระเงิน") }
    var pdf: String { language(en: "PDF", th: "PDF") }
    var noInvoices: String {
        language(en: "The invoices of your plan will stand here.", th: "ใบแจ้งหนี้ของแพ็กเกจจะแสดงที่นี่")
    }

    /// - Parameter status: Stripe's word.
    func state(ofInvoice status: String) -> String {
        switch status {
        case "open": language(en: "to pay", th: "รอชำระ")
        case "paid": language(en: "paid", th: "ชำระแล้ว")
        case "void": language(en: "void", th: "ยกเลิก")
        case "uncollectible": language(en: "written off", th: "ตัดหนี้สูญ")
        default: language(en: "draft", th: "ฉบับร่าง")
        }
    }

    var purchases: String { language(en: "Credits bought", th: "เครดิตที่ซื้อ") }
    var what: String { language(en: "What", th: "รายการ") }
    func bought(_ credits: String, bonus: String?) -> String {
        bonus.map { language(en: "\(credits) and \($0) as a bonus", th: "\(credits) และโบนัส \($0)") } ?? credits
    }
    var noPurchases: String {
        language(en: "You have not bought credits yet.", th: "คุณยังไม่เคยซื้อเครดิต")
    }
    var buy: String { language(en: "Buy credits", th: "ซื้อเครดิต") }
    var transactions: String { language(en: "All transactions", th: "รายการทั้งหมด") }

    func state(of status: Purchase.Status) -> String {
        switch status {
        case .creating, .open: language(en: "to pay", th: "รอชำระ")
        case .awaitingPayment: language(en: "at the bank", th: "รอธนาคาร")
        case .paid: language(en: "paid", th: "ชำระแล้ว")
        case .failed: language(en: "failed", th: "ไม่สำเร็จ")
        case .expired: language(en: "expired", th: "หมดอายุ")
        case .review: language(en: "being checked", th: "กำลังตรวจสอบ")
        }
    }
}
