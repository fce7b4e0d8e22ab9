import Values
import Web

/// The texts of `/settings/limits`.
struct LimitStrings {
    let language: Language

    var intro: String {
        language(
            en: "Limits stop calls before they spend more than you want. All your API keys and devices count together.",
            th: "วงเงินจะหยุดการเรียกใช้ก่อนที่จะใช้เกินที่คุณต้องการ โดยนับรวมคีย์ API และอุปกรณ์ทั้งหมดของคุณ")
    }
    var limits: String { language(en: "Spending limits", th: "วงเงินการใช้") }
    var daily: String { language(en: "Credits a day, at most", th: "เครดิตสูงสุดต่อวัน") }
    var monthly: String { language(en: "Credits a month, at most", th: "เครดิตสูงสุดต่อเดือน") }
    var limitHint: String {
        language(
            en: "Left empty, there is no limit. 0 stops all calls.", th: "หากไม่ระบุ จะไม่จำกัด ใส่ 0 เพื่อหยุดการเรียกใช้ทั้งหมด")
    }
    var level: String { language(en: "Warn me at", th: "แจ้งเตือนเมื่อเหลือ") }
    func levelHint(_ level: String?) -> String {
        if let level {
            return language(
                en: "A number of credits. Left empty, it is \(level).", th: "จำนวนเครดิต หากไม่ระบุ จะใช้ \(level)")
        }
        return language(
            en: "A number of credits. Left empty, you are warned when no credits are left.",
            th: "จำนวนเครดิต หากไม่ระบุ จะแจ้งเตือนเมื่อเครดิตหมดเท่านั้น")
    }
    var alerts: String {
        language(
            en: "The pages show a warning at this level. In your profile you choose whether you get a mail, too.",
            th: "หน้าเว็บจะแสดงคำเตือนที่ระดับนี้ คุณเลือกรับอีเมลแจ้งเตือนได้ในโปรไฟล์")
    }
    var mail: String { language(en: "Change the mail setting", th: "เปลี่ยนการตั้งค่าอีเมล") }
    var save: String { language(en: "Save", th: "บันทึก") }
    var saved: String { language(en: "Your limits are saved.", th: "บันทึกวงเงินแล้ว") }

    func wrong(_ most: String) -> String {
        language(
            en: "Enter a number from 0 to \(most), like 1000 or 12.5, with at most 9 fraction digits.",
            th: "กรอกตัวเลข 0 ถึง \(most) เช่น 1000 หรือ 12.5 มีทศนิยมไม่เกิน 9 ตำแหน่ง")
    }

    var counted: String { language(en: "Spent so far", th: "ใช้ไปแล้ว") }
    var today: String { language(en: "Today", th: "วันนี้") }
    var thisMonth: String { language(en: "This month", th: "เดือนนี้") }
    var held: String { language(en: "Held by running calls", th: "กันไว้สำหรับงานที่กำลังทำ") }
    var nextDay: String { language(en: "Next day begins", th: "วันใหม่เริ่ม") }
    var nextMonth: String { language(en: "Next month begins", th: "เดือนใหม่เริ่ม") }
    var utc: String {
        language(en: "Days and months begin at midnight of universal time.", th: "วันและเดือนเริ่มเที่ยงคืนตามเวลาสากล")
    }

    var keys: String { language(en: "Keys with limits of their own", th: "คีย์ที่มีวงเงินของตัวเอง") }
    var key: String { language(en: "Key", th: "คีย์") }
    var ofDay: String { language(en: "Today, of", th: "วันนี้ จาก") }
    var ofMonth: String { language(en: "This month, of", th: "เดือนนี้ จาก") }
    var manageKeys: String { language(en: "All keys", th: "คีย์ทั้งหมด") }
}
