import Web

/// The texts of `/buy` and `/buy/done`.
struct BuyStrings {
    let language: Language

    var title: String { language(en: "Buy credits", th: "ซื้อเครดิต") }
    var intro: String {
        language(
            en: "Pay once. Bought credits and their bonus never end.", th: "จ่ายครั้งเดียว เครดิตที่ซื้อและโบนัสไม่มีวันหมดอายุ")
    }
    var packages: String { language(en: "Packages", th: "ชุดเครดิต") }
    var popular: String { language(en: "Popular", th: "ยอดนิยม") }
    func bonus(_ credits: String) -> String { language(en: "+ \(credits) as a bonus", th: "รับโบนัสเพิ่ม \(credits)") }
    var noBonus: String { language(en: "No bonus", th: "ไม่มีโบนัส") }
    func rate(_ price: String) -> String { language(en: "\(price) a credit", th: "เครดิตละ \(price)") }
    func buy(_ price: String) -> String { language(en: "Buy for \(price)", th: "ซื้อในราคา \(price)") }
    var pays: String {
        language(
            en: "You pay on the page of our payment provider, Stripe. Your card number never reaches us.",
            th: "คุณชำระเงินบนหน้าของ Stripe ผู้ให้บริการรับชำระเงินของเรา เราไม่ได้รับหมายเลขบัตรของคุณ")
    }

    var custom: String { language(en: "Another amount", th: "จำนวนอื่น") }
    var credits: String { language(en: "Credits", th: "จำนวนเครดิต") }
    func creditsHint(_ least: String, _ most: String) -> String {
        language(en: "A whole number from \(least) to \(most).", th: "จำนวนเต็มตั้งแต่ \(least) ถึง \(most)")
    }
    func wrongCredits(_ least: String, _ most: String) -> String {
        language(
            en: "Enter a whole number from \(least) to \(most), like 120.", th: "กรอกจำนวนเต็มตั้งแต่ \(least) ถึง \(most) เช่น 120")
    }
    var showPrice: String { language(en: "Show price", th: "ดูราคา") }
    var customRate: String {
        language(
            en: "Any amount costs as much for a credit as the next smaller package. Only packages have a bonus.",
            th: "ราคาต่อเครดิตเท่ากับชุดที่เล็กกว่าถัดไป เฉพาะชุดเครดิตเท่านั้นที่มีโบนัส")
    }
    var none: String { language(en: "No package is sold at the moment.", th: "ขณะนี้ยังไม่มีชุดเครดิตจำหน่าย") }
    var plansTitle: String { language(en: "Credits every month", th: "รับเครดิตทุกเดือน") }
    var plansText: String {
        language(en: "A plan gives credits every month, and higher limits.", th: "แพ็กเกจให้เครดิตทุกเดือน พร้อมขีดจำกัดที่สูงขึ้น")
    }
    var plans: String { language(en: "See the plans", th: "ดูแพ็กเกจ") }

    // MARK: Why not

    var notVerified: String {
        language(
            en: "Confirm your email address before you buy. We have sent you a mail with a link.",
            th: "โปรดยืนยันที่อยู่อีเมลก่อนซื้อ เราได้ส่งอีเมลพร้อมลิงก์ให้คุณแล้ว")
    }
    var seeAddress: String { language(en: "See my email address", th: "ดูที่อยู่อีเมลของฉัน") }
    var disputed: String {
        language(
            en:
                "One of your payments is disputed at your bank. You can buy again when that is decided. You can see your payments under Billing.",
            th: "มีการชำระเงินรายการหนึ่งที่ถูกโต้แย้งกับธนาคารของคุณ คุณจะซื้อได้อีกเมื่อมีผลตัดสิน ดูการชำระเงินของคุณได้ที่หน้าการชำระเงิน")
    }
    var seeBilling: String { language(en: "See my payments", th: "ดูการชำระเงินของฉัน") }

    // MARK: The page after the payment

    func added(_ credits: String) -> String { language(en: "\(credits) were added", th: "เพิ่ม \(credits) แล้ว") }
    func subscribed(_ plan: String) -> String { language(en: "Your plan is \(plan)", th: "แพ็กเกจของคุณคือ \(plan)") }
    func firstMonth(_ credits: String) -> String {
        language(
            en: "\(credits) of your first month were added.", th: "เพิ่ม \(credits) ของเดือนแรกแล้ว")
    }
    var thanks: String { language(en: "Thank you. The payment has arrived.", th: "ขอบคุณ เราได้รับการชำระเงินแล้ว") }
    var order: String { language(en: "Order", th: "รายการสั่งซื้อ") }
    func ordered(_ credits: String, bonus: String?) -> String {
        guard let bonus else { return credits }
        return language(en: "\(credits) and \(bonus) as a bonus", th: "\(credits) และโบนัส \(bonus)")
    }
    func plan(_ name: String) -> String { language(en: "The plan \(name)", th: "แพ็กเกจ \(name)") }
    var paid: String { language(en: "Paid", th: "ชำระแล้ว") }
    var price: String { language(en: "Price", th: "ราคา") }
    var balance: String { language(en: "Available now", th: "ใช้ได้ตอนนี้") }
    var dashboard: String { language(en: "Go to the dashboard", th: "ไปที่ภาพรวม") }
    var transactions: String { language(en: "See the transactions", th: "ดูรายการ") }

    var waitingTitle: String { language(en: "Adding your credits", th: "กำลังเพิ่มเครดิตของคุณ") }
    var waiting: String {
        language(
            en: "Your payment has arrived. The credits are on their way to your account. This page asks again by itself.",
            th: "เราได้รับการชำระเงินแล้ว เครดิตกำลังเข้าบัญชีของคุณ หน้านี้จะตรวจสอบอีกครั้งโดยอัตโนมัติ")
    }
    var late: String {
        language(
            en: "Your payment has arrived. Adding the credits takes longer than usual; they come without your doing anything.",
            th: "เราได้รับการชำระเงินแล้ว การเพิ่มเครดิตใช้เวลานานกว่าปกติ เครดิตจะเข้าเองโดยคุณไม่ต้องทำอะไร")
    }
    var askAgain: String { language(en: "Ask again", th: "ตรวจสอบอีกครั้ง") }

    var openTitle: String { language(en: "This order is not paid yet", th: "รายการนี้ยังไม่ได้ชำระเงิน") }
    var open: String {
        language(en: "Nothing was charged. You can still pay it.", th: "ยังไม่มีการเรียกเก็บเงิน คุณยังชำระเงินได้")
    }
    var toCheckout: String { language(en: "Continue to the payment", th: "ไปชำระเงินต่อ") }

    var bankTitle: String { language(en: "Your bank is working on the payment", th: "ธนาคารของคุณกำลังดำเนินการชำระเงิน") }
    var bank: String {
        language(
            en: "This can take some days. The credits come as soon as the money does; you need not stay on this page.",
            th: "อาจใช้เวลาหลายวัน เครดิตจะเข้าทันทีที่ได้รับเงิน คุณไม่จำเป็นต้องเปิดหน้านี้ไว้")
    }
    var failedTitle: String { language(en: "The payment failed", th: "ชำระเงินไม่สำเร็จ") }
    var failed: String {
        language(
            en: "Your bank did not make the payment, and no credits were added. Try again with another card.",
            th: "ธนาคารของคุณไม่ได้ชำระเงิน จึงไม่มีการเพิ่มเครดิต โปรดลองอีกครั้งด้วยบัตรอื่น")
    }
    var expiredTitle: String { language(en: "This order has expired", th: "รายการสั่งซื้อนี้หมดอายุแล้ว") }
    var expired: String {
        language(en: "It was not paid in time. Nothing was charged.", th: "ไม่ได้ชำระเงินภายในเวลาที่กำหนด ไม่มีการเรียกเก็บเงิน")
    }
    var reviewTitle: String { language(en: "We are checking this payment", th: "เรากำลังตรวจสอบการชำระเงินนี้") }
    var review: String {
        language(
            en: "The payment does not fit the order, so a person looks at it. Nothing is lost. Write to our support if you hear nothing.",
            th: "การชำระเงินไม่ตรงกับรายการสั่งซื้อ เจ้าหน้าที่จึงต้องตรวจสอบ ไม่มีสิ่งใดสูญหาย หากไม่ได้รับการติดต่อ โปรดแจ้งฝ่ายสนับสนุน")
    }
    var again: String { language(en: "Start again", th: "เริ่มใหม่") }
}
