import Web

/// The texts of `/settings/sessions`.
struct SessionStrings {
    let language: Language

    var intro: String {
        language(en: "Browsers, apps and devices that are signed in to your account.", th: "เบราว์เซอร์ แอป และอุปกรณ์ที่เข้าสู่ระบบบัญชีของคุณอยู่")
    }
    var current: String { language(en: "this browser", th: "เบราว์เซอร์นี้") }
    var unknown: String { language(en: "Unknown program", th: "โปรแกรมที่ไม่รู้จัก") }
    /// Returns the program and the system of a `User-Agent`; nil for a text that names neither.
    func program(_ userAgent: String?) -> String? {
        guard let agent = userAgent.map(UserAgent.init) else { return nil }
        guard let program = agent.program, let system = agent.system else { return agent.program ?? agent.system }
        return language(en: "\(program) on \(system)", th: "\(program) บน \(system)")
    }
    var lastUsed: String { language(en: "last used", th: "ใช้ล่าสุด") }
    var signedIn: String { language(en: "signed in", th: "เข้าสู่ระบบเมื่อ") }
    var use: String { language(en: "Last used", th: "ใช้ล่าสุด") }
    var signIn: String { language(en: "Signed in", th: "เข้าสู่ระบบเมื่อ") }
    var program: String { language(en: "Program", th: "โปรแกรม") }
    var from: String { language(en: "From", th: "จาก") }
    var unknownAddress: String { language(en: "unknown address", th: "ไม่ทราบที่อยู่ IP") }
    var only: String { language(en: "You are signed in nowhere else.", th: "คุณไม่ได้เข้าสู่ระบบที่อื่น") }

    func newest(_ count: Int) -> String {
        language(
            en: "These are the \(count) that were used last. “End all other sessions” ends those that are not listed, too.",
            th: "แสดง \(count) เซสชันที่ใช้ล่าสุด “ยุติเซสชันอื่นทั้งหมด” จะยุติเซสชันที่ไม่ได้แสดงด้วย")
    }

    var end: String { language(en: "End session", th: "ยุติเซสชัน") }
    var endTitle: String { language(en: "End this session?", th: "ยุติเซสชันนี้หรือไม่?") }
    var endIntro: String {
        language(en: "It is refused at once, and must sign in again.", th: "เซสชันนี้จะใช้ไม่ได้ทันที และต้องเข้าสู่ระบบใหม่")
    }
    var ended: String { language(en: "The session has ended.", th: "เซสชันสิ้นสุดแล้ว") }
    var endOthers: String { language(en: "End all other sessions", th: "ยุติเซสชันอื่นทั้งหมด") }
    var endOthersTitle: String { language(en: "End all other sessions?", th: "ยุติเซสชันอื่นทั้งหมดหรือไม่?") }
    var endOthersIntro: String {
        language(
            en: "They are refused at once, and must sign in again. This browser stays signed in.",
            th: "เซสชันเหล่านี้จะใช้ไม่ได้ทันที และต้องเข้าสู่ระบบใหม่ ส่วนเบราว์เซอร์นี้ยังอยู่ในระบบ")
    }
    var othersEnded: String {
        language(en: "All other sessions have ended.", th: "เซสชันอื่นทั้งหมดสิ้นสุดแล้ว")
    }
}
