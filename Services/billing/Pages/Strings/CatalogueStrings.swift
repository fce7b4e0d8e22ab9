import Web

/// The texts of `/admin/catalogue`.
struct CatalogueStrings {
    let language: Language

    var title: String { language(en: "Catalogue", th: "แค็ตตาล็อก") }
    var intro: String {
        language(
            en: "A change counts for what is ordered from now on. Prices of plans are made at Stripe, and named in the configuration.",
            th: "การเปลี่ยนแปลงมีผลกับรายการที่สั่งซื้อหลังจากนี้ ราคาของแพ็กเกจกำหนดที่ Stripe และระบุในการตั้งค่าระบบ")
    }
    var plans: String { language(en: "Plans", th: "แพ็กเกจ") }
    var packages: String { language(en: "Packages of credits", th: "ชุดเครดิต") }
    var edit: String { language(en: "Edit", th: "แก้ไข") }
    var saved: String { language(en: "The change is saved.", th: "บันทึกการเปลี่ยนแปลงแล้ว") }
    func editPlan(_ name: String) -> String { language(en: "Edit the plan \(name)", th: "แก้ไขแพ็กเกจ \(name)") }
    func editPackage(_ name: String) -> String { language(en: "Edit the package \(name)", th: "แก้ไขชุดเครดิต \(name)") }

    var name: String { language(en: "Name", th: "ชื่อ") }
    var position: String { language(en: "Position", th: "ลำดับ") }
    var positionHint: String {
        language(
            en: "A plan with a greater position is an upgrade. Each plan has a position of its own.",
            th: "แพ็กเกจที่ลำดับสูงกว่าคือการอัปเกรด แต่ละแพ็กเกจต้องมีลำดับไม่ซ้ำกัน")
    }
    var monthlyCredits: String { language(en: "Credits a month", th: "เครดิตต่อเดือน") }
    var features: String { language(en: "Features", th: "คุณสมบัติ") }
    var featuresHint: String {
        language(
            en: "The lines on the card, with a semicolon between them.", th: "ข้อความบนการ์ด คั่นด้วยเครื่องหมายอัฒภาค (;)")
    }
    var endpoints: String { language(en: "Endpoints", th: "ส่วนที่ใช้ได้") }
    var endpointsHint: String {
        language(
            en: "Names with a comma between them. Left empty, the plan may use everything.",
            th: "ชื่อคั่นด้วยเครื่องหมายจุลภาค (,) หากไม่ระบุ ใช้ได้ทั้งหมด")
    }
    var requests: String { language(en: "Requests a minute", th: "คำขอต่อนาที") }
    var tokens: String { language(en: "Tokens a minute", th: "โทเค็นต่อนาที") }
    var concurrency: String { language(en: "Calls at once", th: "เรียกใช้พร้อมกัน") }
    var limitHint: String { language(en: "Left empty, there is no limit.", th: "หากไม่ระบุ จะไม่จำกัด") }
    var priority: String { language(en: "Priority", th: "ลำดับความสำคัญ") }
    var priorityHint: String {
        language(en: "0 waits longest when providers are busy.", th: "0 รอนานที่สุดเมื่อผู้ให้บริการไม่ว่าง")
    }
    var credits: String { language(en: "Credits", th: "เครดิต") }
    var bonus: String { language(en: "Bonus", th: "โบนัส") }
    var price: String { language(en: "Price in US dollars", th: "ราคาเป็นดอลลาร์สหรัฐ") }
    var isPopular: String { language(en: "Marked as popular", th: "แสดงว่ายอดนิยม") }
    var isActive: String { language(en: "Sold", th: "จำหน่ายอยู่") }
    var isActiveHint: String {
        language(
            en: "If it is not sold any more, those who have it keep it.", th: "หากเลิกจำหน่าย ผู้ที่มีอยู่แล้วยังใช้ต่อได้")
    }
    var popular: String { language(en: "popular", th: "ยอดนิยม") }
    var notSold: String { language(en: "not sold", th: "เลิกจำหน่าย") }
    var state: String { language(en: "State", th: "สถานะ") }
    var sold: String { language(en: "sold", th: "จำหน่ายอยู่") }
    var save: String { language(en: "Save", th: "บันทึก") }

    // MARK: Errors

    func wrongName(_ most: Int) -> String {
        language(en: "Enter 1 to \(most) visible characters.", th: "กรอกอักขระที่มองเห็นได้ 1 ถึง \(most) ตัว")
    }
    func wrongNumber(_ least: String, _ most: String) -> String {
        language(en: "Enter a whole number from \(least) to \(most).", th: "กรอกจำนวนเต็มตั้งแต่ \(least) ถึง \(most)")
    }
    func wrongPrice(_ least: String, _ most: String) -> String {
        language(
            en: "Enter a price from \(least) to \(most), like 9 or 9.50.", th: "กรอกราคาตั้งแต่ \(least) ถึง \(most) เช่น 9 หรือ 9.50")
    }
    var wrongFeatures: String {
        language(en: "Enter at most 20 lines of 1 to 200 characters.", th: "กรอกไม่เกิน 20 ข้อความ ข้อความละ 1 ถึง 200 ตัวอักษร")
    }
    var wrongEndpoints: String {
        language(
            en: "Enter at most 32 names of a-z, 0-9, - and _.", th: "กรอกไม่เกิน 32 ชื่อ ใช้ได้เฉพาะ a-z, 0-9, - และ _")
    }
    var positionTaken: String { language(en: "Another plan has this position.", th: "มีแพ็กเกจอื่นใช้ลำดับนี้แล้ว") }
    var sizeTaken: String {
        language(en: "Another package that is sold has this size.", th: "มีชุดเครดิตที่จำหน่ายอยู่ขนาดเท่านี้แล้ว")
    }
    var freeIsSold: String { language(en: "The free plan is what every new user gets.", th: "ผู้ใช้ใหม่ทุกคนได้แพ็กเกจฟรี จึงเลิกไม่ได้") }
    var outdated: String {
        language(
            en: "The catalogue was changed meanwhile. Your input is kept; compare it, and save again.",
            th: "มีการแก้ไขแค็ตตาล็อกระหว่างนี้ ข้อมูลที่คุณกรอกยังอยู่ โปรดตรวจสอบแล้วบันทึกอีกครั้ง")
    }
}
