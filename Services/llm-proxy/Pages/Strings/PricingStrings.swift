import Contracts
import Web

/// The texts of `/pricing`.
struct PricingStrings {
    let language: Language

    var title: String { Place.pricing.title(language) }
    var intro: String {
        language(
            en: "Every model is paid with the same credits. A call costs what it used.",
            th: "ทุกโมเดลใช้เครดิตเดียวกัน การเรียกใช้คิดตามที่ใช้จริง")
    }

    // MARK: The filter

    var filter: String { language(en: "Name of the model", th: "ชื่อโมเดล") }
    var find: String { language(en: "Show", th: "แสดง") }
    var showAll: String { language(en: "Show all models", th: "แสดงทุกโมเดล") }
    var noMatch: String { language(en: "No model has such a name.", th: "ไม่พบโมเดลชื่อนี้") }
    var none: String { language(en: "No model is on sale at the moment.", th: "ขณะนี้ยังไม่มีโมเดลเปิดขาย") }
    func count(_ shown: String, of all: String) -> String {
        shown == all
            ? language(en: "Models: \(all)", th: "จำนวนโมเดล: \(all)")
            : language(en: "Models: \(shown) of \(all)", th: "จำนวนโมเดล: \(shown) จาก \(all)")
    }
    func cut(_ most: String) -> String {
        language(
            en: "These are the first \(most). Filter by name to see others.", th: "แสดง \(most) รายการแรก กรองตามชื่อเพื่อดูโมเดลอื่น")
    }

    // MARK: Tokens

    var tokens: String { language(en: "Models sold by tokens", th: "โมเดลที่คิดตามโทเค็น") }
    var per1k: String { language(en: "Credits per 1,000 tokens", th: "เครดิตต่อ 1,000 โทเค็น") }
    var model: String { language(en: "Model", th: "โมเดล") }
    var prompt: String { language(en: "Prompt", th: "พรอมต์") }
    var cachedPrompt: String { language(en: "Cached prompt", th: "พรอมต์จากแคช") }
    var completion: String { language(en: "Completion", th: "คำตอบ") }
    var minimum: String { language(en: "Minimum per call", th: "ขั้นต่ำต่อครั้ง") }
    var noMinimum: String { language(en: "No call has a minimum price.", th: "ไม่มีราคาขั้นต่ำต่อครั้ง") }
    func longPrompts(_ tokens: String) -> String {
        language(en: "prompts above \(tokens) tokens", th: "พรอมต์ที่ยาวกว่า \(tokens) โทเค็น")
    }
    var cacheWrite: String { language(en: "written to the cache", th: "เขียนลงแคช") }
    var cacheWriteHour: String { language(en: "written to the cache for an hour", th: "เขียนลงแคชหนึ่งชั่วโมง") }
    var sound: String { language(en: "tokens of sound", th: "โทเค็นเสียง") }
    var pictures: String { language(en: "tokens of pictures", th: "โทเค็นภาพ") }
    var notes: String {
        language(
            en: "A part of the prompt that the provider reads from its cache costs the cached price. Without one, it costs as much as any "
                + "other part. A long prompt has its price for the whole call. A model that several providers serve is listed at the "
                + "dearest one's price.",
            th: "ส่วนของพรอมต์ที่ผู้ให้บริการอ่านจากแคชคิดตามราคาแคช หากไม่มีราคาแคช จะคิดเท่ากับส่วนอื่น พรอมต์ยาวใช้ราคาของช่วงนั้นทั้งการเรียกใช้ "
                + "โมเดลที่มีผู้ให้บริการหลายรายแสดงราคาที่สูงที่สุด")
    }

    // MARK: Units

    var units: String { language(en: "Models sold by pictures, sound, video or calls", th: "โมเดลที่คิดตามภาพ เสียง วิดีโอ หรือครั้ง") }
    var perUnit: String { language(en: "Credits for each", th: "เครดิตต่อหน่วย") }
    func name(of unit: UsageUnit) -> String {
        switch unit {
        case .image: language(en: "Picture", th: "ภาพ")
        case .videoSecond: language(en: "Second of video", th: "วิดีโอ 1 วินาที")
        case .audio30s: language(en: "30 seconds of sound, begun", th: "เสียงทุก 30 วินาทีที่เริ่มแล้ว")
        case .character: language(en: "Character of text", th: "ข้อความ 1 อักขระ")
        case .gigabyteDay: language(en: "Gigabyte stored for a day", th: "พื้นที่ 1 กิกะไบต์ต่อวัน")
        case .request: language(en: "Call, or video", th: "การเรียกใช้หรือวิดีโอ 1 ครั้ง")
        case .input, .cachedInput, .cacheWrite, .cacheWrite1h, .output, .reasoning, .audioInput, .audioOutput, .imageInput, .imageOutput:
            language(en: "Token", th: "โทเค็น")
        }
    }

    var above5Seconds: String { language(en: "of more than 5 seconds", th: "ที่ยาวกว่า 5 วินาที") }

    // MARK: What is charged

    var charges: String { language(en: "What you pay, and when", th: "คุณจ่ายเมื่อใด และจ่ายเท่าใด") }
    var chargesText: String {
        language(
            en: "You pay for what you get. This is what happens when a call does not end as it should.",
            th: "คุณจ่ายตามสิ่งที่ได้รับ ตารางนี้บอกว่าคิดเครดิตอย่างไรเมื่อการเรียกใช้ไม่จบตามปกติ")
    }
    var what: String { language(en: "What happened", th: "สิ่งที่เกิดขึ้น") }
    var charged: String { language(en: "What you pay for", th: "สิ่งที่คุณจ่าย") }
    var early: String { language(en: "You left before the answer began", th: "คุณออกไปก่อนคำตอบเริ่ม") }
    var earlyText: String {
        language(
            en: "The provider may bill us for such a call. We therefore wait up to 10 seconds for its answer.",
            th: "ผู้ให้บริการอาจเรียกเก็บเงินเราสำหรับการเรียกใช้นั้น เราจึงรอคำตอบต่อไม่เกิน 10 วินาที")
    }
    var seen: String { language(en: "What we see in that time", th: "สิ่งที่เราพบในช่วงนั้น") }
    func link(to row: String) -> String { language(en: "Link to row \(row)", th: "ลิงก์ไปแถวที่ \(row)") }
}
