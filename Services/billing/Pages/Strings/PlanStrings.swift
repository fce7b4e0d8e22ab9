import Web

/// The texts of `/plans` and below.
struct PlanStrings {
    let language: Language

    var title: String { language(en: "Plans", th: "แพ็กเกจ") }
    var intro: String {
        language(
            en: "Change or cancel at any time. Bought credits never end.", th: "เปลี่ยนหรือยกเลิกได้ทุกเมื่อ เครดิตที่ซื้อไม่มีวันหมดอายุ")
    }
    var interval: String { language(en: "How often you pay", th: "รอบการชำระเงิน") }
    var monthly: String { language(en: "Monthly", th: "รายเดือน") }
    func yearly(off percent: ClosedRange<Int64>?) -> String {
        guard let percent, percent.upperBound > 0 else { return language(en: "Yearly", th: "รายปี") }
        let most = percent.upperBound
        return percent.lowerBound == most
            ? language(en: "Yearly · \(most)% off", th: "รายปี · ลด \(most)%")
            : language(en: "Yearly · up to \(most)% off", th: "รายปี · ลดสูงสุด \(most)%")
    }

    // MARK: Cards

    var yours: String { language(en: "Your plan", th: "แพ็กเกจของคุณ") }
    var popular: String { language(en: "Popular", th: "ยอดนิยม") }
    func unit(_ interval: Plan.Interval) -> String {
        interval == .month ? language(en: "a month", th: "ต่อเดือน") : language(en: "a year", th: "ต่อปี")
    }
    func credits(_ credits: String, rate: String?) -> String {
        let text = language(en: "\(credits) a month", th: "\(credits) ต่อเดือน")
        return rate.map { language(en: "\(text) · \($0) each", th: "\(text) · เครดิตละ \($0)") } ?? text
    }
    func monthlyPart(_ price: String) -> String { language(en: "\(price) a month", th: "เฉลี่ย \(price) ต่อเดือน") }
    var included: String { language(en: "Included", th: "รวมอยู่แล้ว") }
    func from(_ day: String) -> String { language(en: "From \(day)", th: "ตั้งแต่ \(day)") }
    func notSold(_ interval: Plan.Interval) -> String {
        interval == .month
            ? language(en: "Not sold monthly", th: "ไม่มีแบบรายเดือน") : language(en: "Not sold yearly", th: "ไม่มีแบบรายปี")
    }
    var subscribe: String { language(en: "Subscribe", th: "สมัคร") }
    func cancelOn(_ day: String) -> String { language(en: "Cancel on \(day)", th: "ยกเลิก ณ \(day)") }
    var resume: String { language(en: "Keep the plan", th: "ใช้แพ็กเกจต่อ") }
    func endsOn(_ day: String) -> String { language(en: "Ends on \(day)", th: "สิ้นสุด \(day)") }
    func renewsOn(_ day: String) -> String { language(en: "Renews on \(day)", th: "ต่ออายุ \(day)") }
    var upgrade: String { language(en: "Upgrade", th: "อัปเกรด") }
    func changeOn(_ day: String) -> String { language(en: "Change on \(day)", th: "เปลี่ยน ณ \(day)") }
    var payYearly: String { language(en: "Pay yearly", th: "ชำระรายปี") }
    func keep(_ plan: String) -> String { language(en: "Keep \(plan)", th: "ใช้ \(plan) ต่อ") }

    /// The reason why a card has no button.
    func short(_ refusal: PlanChange.Refusal) -> String {
        switch refusal {
        case .alreadySo: yours
        case .yearlyToMonthly: language(en: "You pay yearly", th: "คุณชำระรายปี")
        case .planAndInterval: language(en: "Change the plan first", th: "เปลี่ยนแพ็กเกจก่อน")
        case .pending: language(en: "A change waits for its payment", th: "มีการเปลี่ยนที่รอชำระเงิน")
        case .ending: language(en: "Your plan is cancelled", th: "แพ็กเกจถูกยกเลิกแล้ว")
        case .unpaid: language(en: "A payment is due", th: "มียอดค้างชำระ")
        case .unknownPrice: language(en: "Write to support to change your plan", th: "โปรดติดต่อฝ่ายช่วยเหลือเพื่อเปลี่ยนแพ็กเกจ")
        case .downgradeOrdered: language(en: "A lower plan is ordered", th: "เลือกแพ็กเกจที่ต่ำกว่าไว้แล้ว")
        }
    }

    // MARK: Comparison

    var comparison: String { language(en: "Compare the plans", th: "เปรียบเทียบแพ็กเกจ") }
    var feature: String { language(en: "Feature", th: "รายการ") }
    var creditsAMonth: String { language(en: "Credits a month", th: "เครดิตต่อเดือน") }
    var requests: String { language(en: "Requests a minute", th: "คำขอต่อนาที") }
    var tokens: String { language(en: "Tokens a minute", th: "โทเค็นต่อนาที") }
    var concurrency: String { language(en: "Calls at once", th: "เรียกใช้พร้อมกัน") }
    var endpoints: String { language(en: "May use", th: "ใช้ได้กับ") }
    var priority: String { language(en: "Priority", th: "ลำดับความสำคัญ") }
    var everything: String { language(en: "everything", th: "ทั้งหมด") }
    var unlimited: String { language(en: "no limit", th: "ไม่จำกัด") }
    func priority(_ rank: Int64) -> String {
        switch rank {
        case 0: language(en: "normal", th: "ปกติ")
        case 1: language(en: "high", th: "สูง")
        default: language(en: "highest", th: "สูงสุด")
        }
    }

    // MARK: Notices

    func done(_ done: PlansPage.Done, plan: String, day: String) -> String {
        switch done {
        case .changed: language(en: "Your plan is changed.", th: "เปลี่ยนแพ็กเกจแล้ว")
        case .ordered:
            language(en: "The change is ordered for \(day).", th: "ตั้งให้เปลี่ยนแพ็กเกจในวันที่ \(day) แล้ว")
        case .kept: language(en: "You keep \(plan).", th: "คุณใช้ \(plan) ต่อ")
        case .cancelled:
            language(
                en: "Your plan ends on \(day). Until then everything stays as it is.",
                th: "แพ็กเกจของคุณจะสิ้นสุด \(day) ก่อนถึงวันนั้นทุกอย่างยังเหมือนเดิม")
        case .resumed: language(en: "Your plan goes on.", th: "แพ็กเกจของคุณยังดำเนินต่อ")
        case .subscribed:
            language(en: "You have a plan already. Change it here.", th: "คุณมีแพ็กเกจอยู่แล้ว เปลี่ยนได้ที่นี่")
        }
    }

    // MARK: A change

    func changeTitle(_ change: PlanChange, _ plan: String) -> String {
        switch change {
        case .upgrade: language(en: "Upgrade to \(plan)?", th: "อัปเกรดเป็น \(plan) หรือไม่")
        case .payYearly: language(en: "Pay for \(plan) yearly?", th: "ชำระค่า \(plan) รายปีหรือไม่")
        case .downgradeAtRenewal: language(en: "Change to \(plan)?", th: "เปลี่ยนเป็น \(plan) หรือไม่")
        case .keepPaidPlan: language(en: "Keep \(plan)?", th: "ใช้ \(plan) ต่อหรือไม่")
        case .refused: language(en: "This change is not possible now", th: "ยังเปลี่ยนไม่ได้ในขณะนี้")
        }
    }
    var now: String { language(en: "Your plan now", th: "แพ็กเกจตอนนี้") }
    var new: String { language(en: "New plan", th: "แพ็กเกจใหม่") }
    var youPay: String { language(en: "You pay now", th: "ชำระตอนนี้") }
    var nothing: String { language(en: "nothing", th: "ไม่ต้องชำระ") }
    var after: String { language(en: "After that", th: "หลังจากนั้น") }
    func price(_ price: String, _ interval: Plan.Interval) -> String { "\(price) \(unit(interval))" }
    func price(_ price: String, _ interval: Plan.Interval, from day: String) -> String {
        language(en: "\(price) \(unit(interval)), from \(day)", th: "\(price) \(unit(interval)) ตั้งแต่ \(day)")
    }
    func consequence(_ change: PlanChange, now: String, new: String, day: String) -> String {
        switch change {
        case .upgrade:
            language(
                en:
                    "\(new) begins at once. You pay the difference until \(day) with your stored card, and its credits for that time are added at once.",
                th: "\(new) เริ่มทันที คุณชำระส่วนต่างถึง \(day) ด้วยบัตรที่บันทึกไว้ และเครดิตของช่วงเวลานั้นจะเข้าทันที")
        case .payYearly:
            language(
                en: "A year begins now. The unused time of your month is taken off the price. Credits come every month.",
                th: "รอบหนึ่งปีเริ่มตอนนี้ เราหักมูลค่าของเดือนที่ยังไม่ได้ใช้ออกจากราคา เครดิตเข้าทุกเดือน")
        case .downgradeAtRenewal:
            language(
                en:
                    "You keep \(now) until \(day), because it is paid. From then on you have \(new). Your credits stay until they end; bought credits never do.",
                th: "คุณใช้ \(now) ได้ถึง \(day) เพราะชำระแล้ว จากนั้นจะเป็น \(new) เครดิตยังอยู่จนหมดอายุ ส่วนเครดิตที่ซื้อไม่มีวันหมดอายุ")
        case .keepPaidPlan:
            language(
                en: "The ordered change is taken back. Nothing is paid now.", th: "ยกเลิกการเปลี่ยนที่ตั้งไว้ ไม่ต้องชำระเงินตอนนี้")
        case .refused(let refusal): long(refusal)
        }
    }
    func act(_ change: PlanChange, plan: String, due: String, day: String) -> String {
        switch change {
        case .upgrade: language(en: "Upgrade for \(due) now", th: "อัปเกรดและชำระ \(due)")
        case .payYearly: language(en: "Pay \(due) now", th: "ชำระ \(due) ตอนนี้")
        case .downgradeAtRenewal: changeOn(day)
        case .keepPaidPlan: keep(plan)
        case .refused: back
        }
    }
    var back: String { language(en: "Back to the plans", th: "กลับไปที่แพ็กเกจ") }
    var declined: String {
        language(
            en: "The payment was declined, and nothing was changed. Your bank says:",
            th: "การชำระเงินถูกปฏิเสธ ไม่มีการเปลี่ยนแปลงใด ๆ ธนาคารแจ้งว่า:")
    }
    var changeCard: String { language(en: "See my payment methods", th: "ดูวิธีชำระเงินของฉัน") }

    /// The reason why a change is not possible, with the next step.
    func long(_ refusal: PlanChange.Refusal) -> String {
        switch refusal {
        case .alreadySo: language(en: "You have this plan already.", th: "คุณใช้แพ็กเกจนี้อยู่แล้ว")
        case .yearlyToMonthly:
            language(
                en: "A yearly plan cannot become monthly while it runs. Cancel it; when it has ended, subscribe monthly.",
                th: "แพ็กเกจรายปีเปลี่ยนเป็นรายเดือนระหว่างรอบไม่ได้ โปรดยกเลิกก่อน แล้วสมัครรายเดือนเมื่อสิ้นสุดรอบ")
        case .planAndInterval:
            language(
                en: "A lower plan and yearly payment are two changes. Change the plan first, and the interval when it has begun.",
                th: "การลดแพ็กเกจและการชำระรายปีเป็นการเปลี่ยนสองอย่าง โปรดเปลี่ยนแพ็กเกจก่อน แล้วเปลี่ยนรอบเมื่อแพ็กเกจใหม่เริ่ม")
        case .pending:
            language(
                en: "An earlier change waits for its payment. Pay its invoice first; you find it under Billing.",
                th: "การเปลี่ยนก่อนหน้านี้ยังรอการชำระเงิน โปรดชำระใบแจ้งหนี้ก่อน ดูได้ที่หน้าการชำระเงิน")
        case .ending: language(en: "You have cancelled your plan. Keep it first.", th: "คุณยกเลิกแพ็กเกจไว้ โปรดเลือกใช้แพ็กเกจต่อก่อน")
        case .unpaid:
            language(
                en: "The last payment failed. Pay it under Billing first.", th: "การชำระเงินครั้งล่าสุดไม่สำเร็จ โปรดชำระที่หน้าการชำระเงินก่อน")
        case .unknownPrice:
            language(
                en: "Your plan has a price that is not sold any more. Write to support to change it.",
                th: "แพ็กเกจของคุณมีราคาที่ไม่จำหน่ายแล้ว โปรดติดต่อฝ่ายช่วยเหลือเพื่อเปลี่ยน")
        case .downgradeOrdered:
            language(
                en: "A lower plan is ordered for the next period. Take that back first.", th: "คุณตั้งให้ลดแพ็กเกจในรอบถัดไป โปรดยกเลิกการตั้งนั้นก่อน")
        }
    }

    // MARK: The end

    func cancelTitle(_ plan: String) -> String { language(en: "Cancel \(plan)?", th: "ยกเลิก \(plan) หรือไม่") }
    func cancelText(_ plan: String, _ day: String) -> String {
        language(
            en: "You keep \(plan) and its credits until \(day). Nothing more is charged. After that you have the plan Free.",
            th: "คุณใช้ \(plan) และเครดิตได้ถึง \(day) จะไม่มีการเรียกเก็บเงินอีก หลังจากนั้นคุณจะใช้แพ็กเกจฟรี")
    }
    var cancelKept: String {
        language(
            en: "Bought credits, API keys and your settings stay. You can change your mind until that day.",
            th: "เครดิตที่ซื้อ คีย์ API และการตั้งค่าของคุณยังอยู่ คุณเปลี่ยนใจได้จนถึงวันนั้น")
    }
    var cancel: String { language(en: "Cancel the plan", th: "ยกเลิกแพ็กเกจ") }
}
